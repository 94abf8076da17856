// A proxy that lies: windows at the brain's telemetry listener, as protocol/proto/telemetry.proto has them.
import { connect } from "node:http2";

const GAMMA = 1.02;
const BUCKET = 400;

function varint(n) {
  const bytes = [];
  for (let left = BigInt(n); ; left >>= 7n) {
    const low = Number(left & 127n);
    if (left < 128n) return Buffer.from([...bytes, low]);
    bytes.push(low | 128);
  }
}
const number = (field, n) => Buffer.concat([varint(field << 3), varint(n)]);
const part = (field, bytes) => Buffer.concat([varint((field << 3) | 2), varint(bytes.length), bytes]);
const text = (field, of) => part(field, Buffer.from(of));
const double = (field, of) => {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(of);
  return Buffer.concat([varint((field << 3) | 1), bytes]);
};

/** So many requests that all went well, each as late as the others; the index goes over the wire by zigzag. */
function cell({ service, version, endpoint, route, caller }, requests) {
  const latency = Buffer.concat([double(1, GAMMA), text(2, "us"), part(3, varint(BUCKET * 2)), part(4, varint(requests))]);
  return Buffer.concat([text(1, service), text(2, version), text(3, endpoint), text(4, route), text(5, caller), number(6, requests), number(7, requests), part(15, latency)]);
}

export class Liar {
  seq = 0;

  /** Speaks to the telemetry listener at `address` as the proxy `id`, with the token that proxies show. */
  constructor(address, id, secret) {
    this.id = id;
    this.session = connect(`http://${address}`);
    this.session.on("error", () => undefined);
    this.stream = this.session.request({
      ":method": "POST", ":path": "/lightsout.telemetry.v1.Telemetry/Report", "content-type": "application/grpc", te: "trailers",
      "lightsout-protocol": "1", "lightsout-proxy": id, "lightsout-admin": "http://127.0.0.1:9", authorization: `Bearer ${secret}`,
    });
    this.stream.on("error", () => undefined).resume();
  }

  /** One window about the second that is over, with one cell for each of these labels. */
  tell(labels, requests = 40) {
    this.seq += 1;
    const start = Math.floor(Date.now() / 1_000) * 1_000 - 1_000;
    const cells = labels.map((one) => part(7, cell({ service: "shop", version: "v1", endpoint: "10.0.0.1:80", route: "all", caller: "internet", ...one }, requests)));
    const message = Buffer.concat([text(1, this.id), text(2, "boot"), number(3, this.seq), number(4, start), number(5, 1_000), ...cells]);
    const length = Buffer.alloc(5);
    length.writeUInt32BE(message.length, 1);
    this.stream.write(Buffer.concat([length, message]));
  }

  close() {
    this.session.destroy();
  }
}
