// What waits for a person. Who approves, approves exactly what stands on the card.
import { useEffect } from "preact/hooks";
import { answered, Answered, ProposalCard } from "../components/proposal_card";
import { Tag, Time } from "../components/small";
import { Empty, Loading } from "../components/states";
import { human, percent } from "../data/format";
import { proposals, waiting } from "../data/live";
import { mayAnswer, asksToSignIn, who } from "../data/session";
import { to } from "../data/route";
import { titleOf } from "../data/changes_of";
import type { Kind, Proposal } from "../data/types";

const SHOWN_PAST = 30;

/** j and k go from card to card; a and r go to its answer, and press nothing. What has the focus decides, not what
 * was rendered last: a key that comes early must not land elsewhere. */
function useKeys(): void {
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      const typing = event.target instanceof HTMLElement && ["INPUT", "TEXTAREA", "SELECT"].includes(event.target.tagName);
      if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
      const cards = [...document.querySelectorAll<HTMLElement>("article.card")];
      const at = cards.findIndex((card) => card.contains(document.activeElement));
      const places: Record<string, () => HTMLElement | null | undefined> = {
        j: () => cards[(at + 1) % cards.length], k: () => cards[(Math.max(at, 0) - 1 + cards.length) % cards.length],
        a: () => cards[at]?.querySelector<HTMLElement>(".approve"), r: () => cards[at]?.querySelector<HTMLElement>("footer input"),
      };
      const place = places[event.key]?.();
      if (!place) return;
      event.preventDefault();
      place.focus();
    };
    window.addEventListener("keydown", press);
    return () => {
      window.removeEventListener("keydown", press);
      answered.value = null;
    };
  }, []);
}

export function Approvals() {
  const cards = waiting.value;
  useKeys();
  const past = (proposals.value ?? []).filter((one) => one.state !== "pending").slice(0, SHOWN_PAST);
  return (
    <>
      <div class="page-head">
        <div><h1>Approvals</h1><p>What the brain, or a person, wants to do and may not do alone.</p></div>
        {cards.length > 0 && (mayAnswer.value ? <p class="muted hide-phone"><kbd>j</kbd> <kbd>k</kbd> next, last · <kbd>a</kbd> approve · <kbd>r</kbd> reject</p> : who.value ? <p class="muted">You may look; approvers decide.</p> : <button class="btn primary" onClick={() => (asksToSignIn.value = true)}>Sign in to decide</button>)}
      </div>
      <div class="stack">
        {answered.value && !cards.some((one) => one.id === answered.value?.id) && <Answered />}
        {!proposals.value ? <div class="panel"><Loading lines={6} /></div> : cards.length === 0 ? (
          <div class="panel"><Empty icon="check" title="Nothing waits for you">In advisory mode every action the brain wants appears here; in autonomous mode only those beyond its bounds.</Empty></div>
        ) : cards.map((one) => <ProposalCard key={one.id} of={one} />)}
        {past.length > 0 && <Past of={past} />}
      </div>
    </>
  );
}

const Past = ({ of }: { of: Proposal[] }) => (
  <section class="panel" aria-labelledby="past-head">
    <header><h2 id="past-head">Decided</h2></header>
    <div class="scroll" tabIndex={0} role="group" aria-label="Table">
      <table>
        <thead><tr><th>State</th><th>Action</th><th>Service</th><th class="num">Sure</th><th class="hide-phone">Agreed</th><th class="num">Made</th></tr></thead>
        <tbody>
          {of.map((one) => (
            <tr key={one.id}>
              <td><Tag of={one.state} /></td>
              <td>{human((one.action.kind as Kind).type)} <span class="mono wrap-anywhere">{titleOf(one.action.kind as Kind)}</span><span class="sub">{one.id}{one.incident && <> for <a href={to("incidents", one.incident)}>{one.incident}</a></>}</span></td>
              <td>{one.action.service}</td>
              <td class="num">{percent(one.confidence, 0)}</td>
              <td class="hide-phone">{(one.approvals ?? []).join(", ") || "—"}</td>
              <td class="num"><Time ms={one.created_ms} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  </section>
);
