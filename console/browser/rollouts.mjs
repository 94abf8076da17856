// A rollout through a real proxy as people follow and steer it, what is usual and to come as a real brain tells it,
// and texts of those who mean harm where they come in: a gate's answer, requests, a proxy that lies.
import { createServer } from "node:http";
import { connect } from "node:net";
import { assert } from "./assert.mjs";
import { calmConsole, PAGES } from "./every_page.mjs";
import { CORPUS, foreign, listenForScripts } from "./hostile.mjs";
import { Liar } from "./liar.mjs";
import { signIn, until } from "./mesh.mjs";
import { grow } from "./past.mjs";
import { SmallMesh } from "./small_mesh.mjs";

const PATIENCE_MS = 180_000;
const BETWEEN_REQUESTS_MS = 8;
const RPS = 100;
export const ORIGINS = [{ version: "v1", weight: 100 }, { version: "v1", weight: 100 }, { version: "v2", weight: 0 }];
const NEW = 2;
/** Bounds that a thousand requests to the canary decide, on a busy machine as well: so few failures can be excluded by no
 * less, and the page has the time to say how many are missing. */
export const JUDGE = {
  warm_up_ms: 2_000, promote_e: 10, rollback_e: 100, errors: { tolerance: { odds: 1.25, share: 0.0005 }, limit: { odds: 6, share: 0.0025 } },
  latency: { tolerance: 3, limit: 15, tail_limit: 30, floor_us: 50_000 },
};
/** Some answers take longer, each by another time, as of real services: else the slowest hundredth would be those that this
 * machine was busy at, and say nothing of a version for minutes after. */
const withATail = () => (Math.random() < 0.05 ? 200 * Math.random() : 0);
const GATE_SAYS = `not before nine ${CORPUS[1]} ${CORPUS[0]}`;
const MEETING = `a release meeting ${CORPUS[2]}`;
/** Names that a proxy may report, since they are of letters and signs that names are of. */
const ODD_NAMES = ["__proto__", "constructor", "javascript:window.pwned", "//evil.example/x", "../../audit", "data:text/html"];

/** A program that has a say in rollouts. */
async function startGate() {
  const gate = { status: 403 };
  gate.server = createServer((request, answer) => request.resume().on("end", () => answer.writeHead(gate.status).end(GATE_SAYS)));
  await new Promise((done) => gate.server.listen(0, "127.0.0.1", done));
  gate.url = `http://127.0.0.1:${gate.server.address().port}/release`;
  return gate;
}

/** A request as it stands, byte for byte. */
const raw = (address, bytes) => new Promise((done) => {
  const socket = connect(Number(address.split(":")[1]), "127.0.0.1", () => socket.end(bytes));
  socket.on("error", done).on("close", done).resume();
});

export function rolloutSteps(browser, shown) {
  let [mesh, gate] = [];
  const pages = {};
  const complaints = [];
  const look = async (who, path) => {
    await pages[who].goto(`${mesh.url}/#/${path}`);
    shown(pages[who]);
    return pages[who];
  };
  const post = (path, body) => fetch(`${mesh.url}${path}`, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json", authorization: `Bearer ${mesh.tokens.olga}` } });
  const detail = async () => (await fetch(`${mesh.url}/v1/canaries/can-1`)).json();
  const card = (page) => page.getByRole("article", { name: /shop/ });
  const fact = (page, name) => card(page).locator("dl.facts div").filter({ has: page.getByText(name, { exact: true }) }).locator("dd");
  const sees = (page, name, text) => fact(page, name).filter({ hasText: text }).waitFor({ timeout: PATIENCE_MS });
  const phase = (page, name) => card(page).locator("header .tag").filter({ hasText: name }).waitFor({ timeout: PATIENCE_MS });
  const plot = (page) => card(page).getByRole("img", { name: /^Evidence, as powers of ten: now/ });
  const press = async (page, button, title, reason) => {
    await card(page).getByRole("button", { name: button, exact: true }).click();
    const dialog = page.getByRole("dialog", { name: title });
    await dialog.getByLabel(/^Reason/).fill(reason);
    await dialog.locator("button[type=submit]").click();
    await dialog.waitFor({ state: "detached" });
  };
  const buttons = (page) => card(page).getByRole("button").allInnerTexts();

  return [
    ["a rollout waits for its gate, whose words are text", async () => {
      [mesh, gate] = await Promise.all([SmallMesh.start({}), startGate()]);
      mesh.tokens = { olga: mesh.token("olga", "operator"), ana: mesh.token("ana", "approver") };
      mesh.lag = withATail;
      await mesh.carry(ORIGINS);
      mesh.ask(BETWEEN_REQUESTS_MS);
      await grow(mesh, "shop", RPS);
      for (const [who, token] of Object.entries(mesh.tokens)) {
        pages[who] = await browser.newPage({ viewport: { width: 1360, height: 1200 } });
        complaints.push(calmConsole(pages[who]));
        await listenForScripts(pages[who]);
        await look(who, "canaries");
        await signIn(pages[who], token);
      }
      const spec = {
        service: "shop", stable: "v1", canary: "v2", steps: [40, 60, 100], approval: "steps", min_bake_s: 2, max_duration_s: 600, judge: JUDGE, gates: [{ at: "confirm_start", url: gate.url }],
      };
      await until("every proxy knows both versions", PATIENCE_MS, async () => (await post("/v1/canaries", spec)).status === 201);
      for (const page of Object.values(pages)) await card(page).getByText(GATE_SAYS).first().waitFor({ timeout: PATIENCE_MS });
      assert.equal(mesh.answered[NEW] ?? 0, 0, "nobody has got it");
      assert.deepEqual(await foreign(pages.olga), { foreign: 0, pwned: null, violations: [] });
      gate.status = 200;
    }],
    ["its share, the evidence and its bounds move before one's eyes, and the requests that are missing", async () => {
      const page = pages.olga;
      // Not one after the other: on a slow page the evidence would be there before it was missed.
      await Promise.all([sees(page, "Share now", "40 %"), sees(page, "Evidence for promotion", /about \d+ requests? more/)]);
      const bounds = async (row) => (await card(page).getByRole("row", { name: row }).allInnerTexts()).map((cells) => cells.split("\t").at(3)).join();
      await card(page).getByRole("row", { name: /^latency p50/ }).waitFor({ timeout: PATIENCE_MS });
      const first = await bounds(/^(errors|latency)/);
      assert.deepEqual(await buttons(pages.ana), [], "it asks nobody yet");
      await plot(page).waitFor({ timeout: PATIENCE_MS });
      const drawn = await plot(page).getAttribute("aria-label");
      await until("the evidence moves", PATIENCE_MS, async () => (await plot(page).getAttribute("aria-label")) !== drawn);
      await until("its bounds move", PATIENCE_MS, async () => (await bounds(/^(errors|latency)/)) !== first);
      assert.match(await bounds(/^latency p50/), /^[\d.]+ – ([\d.]+|∞)$/);
      assert.equal(await card(page).getByText(/e\+/).count(), 0, "no number is told that says nothing");
      assert.ok(mesh.answered[NEW] > 0, "the proxy sends it users");
    }],
    ["it is paused and resumed by the buttons", async () => {
      const page = pages.olga;
      await press(page, "Pause", /^Pause can-1/, MEETING);
      await phase(page, "Paused");
      await card(page).getByText(MEETING).first().waitFor();
      assert.deepEqual([(await detail()).phase, (await detail()).weight], ["paused", 40]);
      await press(page, "Resume", /^Resume can-1/, "");
      await phase(page, "Step");
    }],
    ["an approver agrees to the next step when it asks for that, and the weight goes to where it is", async () => {
      const page = pages.ana;
      await card(page).getByText("a person must agree to 60 %").waitFor({ timeout: PATIENCE_MS });
      await until("what an approver may do", PATIENCE_MS, async () => (await buttons(page)).join() === "Pause,Agree to the next step");
      const moves = (await look("olga", "services/shop")).waitForFunction(
        () => document.getAnimations().some((one) => one.transitionProperty === "width" && one.effect.target.matches("td .meter > span")), null, { timeout: PATIENCE_MS, polling: 50 },
      );
      await press(page, "Agree to the next step", /^Resume can-1/, "the numbers are good");
      await sees(page, "Share now", "60 %");
      await moves;
      assert.deepEqual((await detail()).record.moves.at(-1).weight, 60);
    }],
    ["it is promoted by its button, and taken back by another", async () => {
      const page = await look("olga", "canaries");
      await press(page, "Promote", /^Promote can-1/, "seen enough");
      await until("it is promoted", PATIENCE_MS, async () => (await detail()).phase === "promoted");
      const served = async () => {
        const before = [...mesh.answered];
        await new Promise((done) => setTimeout(done, 500));
        return mesh.answered.map((n, at) => n > before[at]);
      };
      await until("users get nothing else", PATIENCE_MS, async () => (await served()).join() === "false,false,true");
      await page.getByRole("region", { name: "Over" }).getByRole("row").filter({ hasText: "Promoted" }).getByRole("link", { name: "shop" }).click();
      await press(page, "Roll back", /^Roll back can-1/, "second thoughts");
      await until("it is taken back", PATIENCE_MS, async () => (await detail()).phase === "rolled_back");
      await until("users get what they had", PATIENCE_MS, async () => (await served()).join() === "true,true,false");
      await phase(page, "Rolled back");
    }],
    ["the report holds the plots and the story, and its texts are texts", async () => {
      const page = pages.olga;
      const path = await page.getByRole("link", { name: "The whole report, to file" }).getAttribute("href");
      const report = await browser.newPage();
      await listenForScripts(report);
      await report.goto(`${mesh.url}${path}`);
      assert.ok((await report.locator("svg").count()) > 0, "it draws");
      for (const words of [MEETING, "agreed to 60 %: the numbers are good", "seen enough", "second thoughts"]) await report.getByText(words).first().waitFor();
      assert.deepEqual(await report.evaluate(() => [window.pwned ?? null, window.violations, document.querySelectorAll("script, img, iframe, [onerror]").length]), [null, [], 0]);
      await report.close();
    }],
    ["what is usual lies behind each line, and the next quarter of an hour after it, as the brain has learned them", async () => {
      const page = await look("olga", "services/shop");
      await page.getByText("next 15 min, 90 % within").waitFor({ timeout: PATIENCE_MS });
      const service = async () => (await (await fetch(`${mesh.url}/v1/services`)).json()).items.find((one) => one.service === "shop");
      const [told] = (await (await fetch(`${mesh.url}/v1/forecasts`)).json()).items;
      const last = told.minutes.at(-1);
      assert.ok(last.low_rps < last.high_rps && last.high_rps > RPS / 4 && last.low_rps < RPS * 4, JSON.stringify(last));
      await page.getByRole("img", { name: /^Requests a second: now .* expected in 15 minutes/ }).waitFor();
      await page.getByText(/^At this time of the day and week [\d.]+ requests a second are usual\.$/).waitFor();
      const { expected } = await service();
      assert.ok(expected.rps[0] < RPS * 2 && expected.rps[1] > RPS / 4, JSON.stringify(expected));
      for (const name of ["Requests over five minutes, usual from", "Failures over five minutes, usual from", "p50 and p99 over five minutes, usual from"]) {
        assert.equal(await page.getByRole("img", { name }).count(), ORIGINS.length, name);
      }
      assert.equal(await page.locator("td rect.usual").count(), 3 * ORIGINS.length);
    }],
    ["text of requests, and of a proxy that lies, comes on no page, and odd names do no harm", async () => {
      for (const evil of CORPUS) {
        const line = evil.replaceAll(/[^\x21-\x7e]/g, "");
        await raw(mesh.proxy.at.main, `GET /${line}?q=${line} HTTP/1.1\r\nhost: shop\r\nuser-agent: ${line}\r\nreferer: ${line}\r\nx-forwarded-for: ${line}\r\ncookie: a=${line}\r\nconnection: close\r\n\r\n`);
      }
      const liar = new Liar(`127.0.0.1:${mesh.wire.port}`, "liar", mesh.secret);
      for (const evil of CORPUS) for (const label of ["service", "version", "endpoint", "route", "caller"]) liar.tell([{ [label]: evil }]);
      const refused = async () => Number(/windows_refused_total\{reason="bad_frame"\} (\d+)/.exec(await (await fetch(`${mesh.url}/metrics`)).text())?.[1] ?? 0);
      await until("all of it is refused", PATIENCE_MS, async () => (await refused()) === CORPUS.length * 5);
      const odd = ODD_NAMES.map((service) => ({ service, endpoint: `${service}:80`, route: service, caller: service }));
      const telling = setInterval(() => liar.tell(odd), 1_000);
      const page = await look("olga", "");
      for (const name of ODD_NAMES) await page.getByRole("link", { name, exact: true }).waitFor({ timeout: PATIENCE_MS });
      for (const path of [...PAGES, ...ODD_NAMES.map((name) => `services/${encodeURIComponent(name)}`)]) {
        await page.goto(`${mesh.url}/#/${path}`);
        await page.waitForFunction(() => !document.querySelector("main .loading"), null, { timeout: PATIENCE_MS });
        assert.deepEqual(await foreign(page), { foreign: 0, pwned: null, violations: [] }, path);
        const told = await page.locator("body").innerText();
        for (const evil of CORPUS.slice(3)) assert.equal(told.includes(evil), false, `${evil} at ${path}`);
      }
      await page.getByRole("heading", { level: 1, name: ODD_NAMES.at(-1) }).waitFor();
      clearInterval(telling);
      liar.close();
    }],
    ["nobody's page complained on the way", async () => {
      assert.deepEqual(complaints.flat().filter((words) => !/status of (404|401)/.test(words)), []);
      await Promise.all(Object.values(pages).map((page) => page.close()));
      gate.server.close();
      await mesh.stop();
    }],
  ];
}
