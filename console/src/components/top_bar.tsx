// How far the brain goes, how well it sees, what time it is, and the switch that stops it.
import { useState } from "preact/hooks";
import { post } from "../data/client";
import { clock, plural, utcClock } from "../data/format";
import { isHeard } from "../data/health";
import { connection, liveActions, refresh, status } from "../data/live";
import { asksToSignIn, maySteer, who } from "../data/session";
import { turn } from "../data/theme";
import { About } from "./about";
import { Confirm, Dialog } from "./dialog";
import { Icon } from "./icons";
import { useNow } from "./small";
import { Problem } from "./states";

const MODES = {
  autonomous: { tone: "good", words: "acts within the guard" },
  advisory: { tone: "info", words: "proposes, people decide" },
  observe: { tone: "warn", words: "looks and says" },
} as const;

function ModeBanner() {
  const now = status.value;
  if (!now) return <span class="mode muted"><span class="dot" />Connecting…</span>;
  if (now.frozen) return <span class="mode warn"><span class="dot" />Frozen</span>;
  const mode = MODES[now.mode];
  return <span class={`mode ${mode.tone}`}><span class="dot" />{now.mode.replace(/^./, (c) => c.toUpperCase())} <small class="wide">{mode.words}</small></span>;
}

/** How much of the mesh is heard: proxies that reported just now, and windows that were refused. */
function Completeness() {
  const now = useNow();
  const all = status.value?.proxies ?? [];
  const heard = all.filter((one) => isHeard(one, now)).length;
  const refused = all.reduce((sum, one) => sum + one.windows_refused, 0);
  if (!all.length) return <span class="top-fact"><Icon2 ok={false} /><span class="wide">no telemetry yet</span><span class="phone-only" aria-label="no telemetry yet" role="img">0</span></span>;
  const text = `${heard} of ${plural(all.length, "proxy", "proxies")} heard`;
  return (
    <span class={`top-fact ${heard < all.length ? "warn" : ""}`} title={`${plural(refused, "window")} refused as late, repeated or contradictory`}>
      <Icon2 ok={heard === all.length} /><span class="wide">{text}{refused > 0 && ` · ${refused} refused`}</span><span class="phone-only" aria-label={text} role="img">{heard}/{all.length}</span>
    </span>
  );
}
const Icon2 = ({ ok }: { ok: boolean }) => <span class={`health ${ok ? "good" : "warn"}`}><Icon name={ok ? "check" : "warn"} /></span>;

function Clock() {
  const now = useNow();
  return <span class="top-fact clock wide"><span>{clock(now)}</span><span class="muted">{utcClock(now)} UTC</span></span>;
}

const LIVE = { open: ["good", "Live"], connecting: ["muted", "Connecting"], lost: ["bad", "Disconnected"] } as const;

export function TopBar() {
  const [tone, word] = LIVE[connection.value];
  const [about, setAbout] = useState(false);
  return (
    <header class="top">
      <ModeBanner />
      <span class="spacer" />
      <Completeness />
      <Clock />
      <span class={`top-fact ${tone}`} role="status"><span class={`health ${tone}`}><Icon name={connection.value === "lost" ? "cross" : connection.value === "open" ? "check" : "quiet"} /></span><span class="live-word">{word}</span></span>
      <button class="btn plain small phone-only" aria-label="Turn the theme" onClick={turn}><Icon name="sun" /></button>
      {who.value && <button class="btn plain small phone-only" aria-label={`About this brain; signed in as ${who.value.name}`} onClick={() => setAbout(true)}><Icon name="person" /></button>}
      {about && <Dialog title="About this brain" close={() => setAbout(false)}><div class="pad"><About /><div class="ends"><button class="btn" onClick={() => setAbout(false)}>Close</button></div></div></Dialog>}
      {!who.value && <button class="btn small phone-only" onClick={() => (asksToSignIn.value = true)}>Sign in</button>}
      <Freeze />
    </header>
  );
}

function Freeze() {
  const [asks, setAsks] = useState(false);
  if (!maySteer.value || !status.value) return null;
  if (status.value.frozen) {
    return (
      <>
        <button class="btn small" onClick={() => setAsks(true)}><Icon name="play" />Unfreeze</button>
        {asks && <Confirm title="Unfreeze the brain?" text="It may act again, within its mode and the guard." verb="Unfreeze" close={() => setAsks(false)} act={() => post("/v1/unfreeze").then(refresh)} />}
      </>
    );
  }
  return (
    <>
      <button class="btn small danger" onClick={() => setAsks(true)}><Icon name="stop" />Freeze</button>
      {asks && <FreezeDialog close={() => setAsks(false)} />}
    </>
  );
}

function FreezeDialog({ close }: { close: () => void }) {
  const [failed, setFailed] = useState<unknown>(null);
  const live = liveActions.value.length;
  const freeze = (revert_all: boolean) => (): void => {
    post("/v1/freeze", { revert_all }).then(refresh).then(close).catch(setFailed);
  };
  return (
    <Dialog title="Freeze the brain" close={close}>
      <div class="pad">
        <h2>Freeze the brain?</h2>
        <p class="muted">It goes on watching, and does nothing until somebody unfreezes it. {live ? `${plural(live, "action")} ${live === 1 ? "is" : "are"} live now.` : "Nothing is live now."}</p>
        {failed !== null && <Problem why={failed} />}
        <div class="ends">
          <button class="btn" onClick={close} autofocus>Cancel</button>
          <button class="btn danger" onClick={freeze(false)}>Freeze, keep what is live</button>
          <button class="btn stop" onClick={freeze(true)}>Freeze and revert all</button>
        </div>
      </div>
    </Dialog>
  );
}
