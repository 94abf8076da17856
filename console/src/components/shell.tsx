// The frame that is always there: where one can go, how the brain stands, who is at the page.
import type { ComponentChildren } from "preact";
import { connection, heardAt, lookingAt, skew, openIncidents, status, waiting, liveActions } from "../data/live";
import { clock } from "../data/format";
import { route } from "../data/route";
import { asksToSignIn, closed } from "../data/session";
import { theme, turn } from "../data/theme";
import { Icon, Mark, type IconName } from "./icons";
import { About } from "./about";
import { SignIn } from "./sign_in";
import { Ago } from "./small";
import { Empty } from "./states";
import { TopBar } from "./top_bar";
import { lookAt } from "../data/look_back";

type Place = { path: string; name: string; icon: IconName; count?: () => number; tone?: string };
const PLACES: Place[] = [
  { path: "", name: "Mesh", icon: "mesh" },
  { path: "incidents", name: "Incidents", icon: "incident", count: () => openIncidents.value.length, tone: "hot" },
  { path: "approvals", name: "Approvals", icon: "approve", count: () => waiting.value.length, tone: "wait" },
  { path: "actions", name: "Actions", icon: "action", count: () => liveActions.value.length },
  { path: "canaries", name: "Canaries", icon: "canary" },
  { path: "audit", name: "Audit", icon: "audit" },
  { path: "autonomy", name: "Autonomy", icon: "autonomy" },
];
const here = (path: string): boolean => {
  const [page = ""] = route.value;
  return page === path || (path === "" && (page === "mesh" || page === "services"));
};

const Links = () => (
  <>
    {PLACES.map(({ path, name, icon, count, tone }) => {
      const n = count?.() ?? 0;
      return (
        <a key={path} href={`#/${path}`} aria-current={here(path) ? "page" : undefined}>
          <Icon name={icon} />
          {name}
          {n > 0 && <span class={`count ${tone ?? ""}`}>{n}<span class="hidden-visually"> open</span></span>}
        </a>
      );
    })}
  </>
);

const Foot = () => (
  <div class="side-end">
    <About />
    <button class="btn plain small" onClick={turn}>
      <Icon name={theme.value === "light" ? "moon" : "sun"} />{theme.value === "light" ? "Dark" : "Light"} theme
    </button>
  </div>
);

/** The age is no part of the alert: it would be read aloud each second. */
const Lost = () => (
  <div class="notice bad">
    <span role="alert">The brain does not answer. Trying again; what is shown is old, and live leases expire by themselves.</span>
    {heardAt.value > 0 && <span class="num">Last heard <Ago ms={heardAt.value + skew.value} />.</span>}
  </div>
);

function Notices() {
  const now = status.value;
  return (
    <>
      {connection.value === "lost" && <Lost />}
      {now && !now.audit.ok && <div class="notice bad" role="alert">The audit log cannot be written: nothing is done until it can.</div>}
      {now?.frozen && <div class="notice warn" role="status">Frozen: the brain watches and does nothing until somebody unfreezes it.</div>}
      {lookingAt.value !== null && (
        <div class="notice info" role="status">
          Looking back at {clock(lookingAt.value)}.
          <button class="btn small" onClick={() => void lookAt(null)}>Back to now</button>
        </div>
      )}
    </>
  );
}

const Closed = () => (
  <Empty icon="person" title="This brain shows itself to those it knows">
    <button class="btn primary" onClick={() => (asksToSignIn.value = true)}>Sign in</button>
  </Empty>
);

export const Shell = ({ children }: { children: ComponentChildren }) => (
  <div class="shell">
    <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>To the content</a>
    <aside class="side">
      <a class="brand" href="#/"><Mark />Lightsout</a>
      <nav class="nav" aria-label="Pages"><Links /></nav>
      <Foot />
    </aside>
    <div class="body">
      <TopBar />
      <Notices />
      <main id="main" tabIndex={-1}>{closed.value ? <Closed /> : children}</main>
    </div>
    <nav class="tabs" aria-label="Pages"><Links /></nav>
    {asksToSignIn.value && <SignIn />}
  </div>
);
