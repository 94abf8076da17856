// Who is at the page, and what runs: the brain, the proxies, their configurations.
import { duration, short } from "../data/format";
import { isHeard } from "../data/health";
import { status } from "../data/live";
import { Whoami } from "./sign_in";
import { useNow } from "./small";

export const About = () => (
  <>
    <Whoami />
    <dl class="num facts-list">
      <dt>Brain</dt><dd>{status.value ? status.value.version : "—"}</dd>
      <dt>Epoch</dt><dd>{status.value?.epoch ?? "—"}</dd>
      <dt>Up</dt><dd>{status.value ? duration(status.value.uptime_s * 1000) : "—"}</dd>
    </dl>
    <Proxies />
  </>
);

/** Versions and configurations of the proxies: one line where they agree. */
function Proxies() {
  const all = status.value?.proxies ?? [];
  const distinct = (of: (string | null | undefined)[]): string[] => [...new Set(of.map((one) => one ?? "not told"))];
  const versions = distinct(all.map((one) => one.version));
  const configs = distinct(all.map((one) => one.config_hash));
  return (
    <>
      <dl class="num facts-list">
        <dt>Proxies</dt><dd>{all.length} · {versions.length === 1 ? versions[0] : `${versions.length} versions`}</dd>
        <dt>Configs</dt><dd class="mono">{configs.length === 1 ? short(configs[0]) : configs.length > 3 ? `${configs.length} hashes` : configs.map((hash) => short(hash, 4)).join(" ")}</dd>
      </dl>
      {all.length > 0 && <Each />}
    </>
  );
}

function Each() {
  const now = useNow();
  return (
    <details class="each-proxy">
      <summary>Each proxy</summary>
      <ul>
        {(status.value?.proxies ?? []).map((one) => (
          <li key={one.proxy} class="wrap-anywhere"><b>{one.proxy}</b> {one.version ?? "version not told"} · config <span class="mono">{short(one.config_hash)}</span>{one.frozen && <span class="warn"> · frozen</span>}{!isHeard(one, now) && <span class="warn"> · not heard</span>}</li>
        ))}
      </ul>
    </details>
  );
}
