// One proposal: everything needed to say yes or no to it.
import { signal } from "@preact/signals";
import { useRef, useState } from "preact/hooks";
import { post, Refused, words } from "../data/client";
import { duration, human, percent, plural } from "../data/format";
import { incidents, refresh } from "../data/live";
import { to } from "../data/route";
import { mayAnswer, who } from "../data/session";
import { titleOf } from "../data/changes_of";
import type { Kind, Proposal } from "../data/types";
import { ActionDiff } from "./diff";
import { EvidenceList } from "./evidence";
import { Icon } from "./icons";
import { Confidence, Countdown, useNow } from "./small";
import { Voices } from "./voices";

/** What came of the last answer. It outlives its card, which a fresh one may replace. */
export const answered = signal<{ id: string; tone: "problem" | "said"; text: string } | null>(null);

export const Answered = () => answered.value && <div class={answered.value.tone} role="status">{answered.value.text}</div>;

export function ProposalCard({ of }: { of: Proposal }) {
  const kind = of.action.kind as Kind;
  const incident = incidents.value?.find((one) => one.id === of.incident);
  const agreed = of.approvals ?? [];
  return (
    <article class="card" tabIndex={0} aria-labelledby={`title-${of.id}`}>
      <header>
        <div>
          <h2 id={`title-${of.id}`} style={{ fontSize: "15px" }} class="wrap-anywhere">{human(kind.type)} <span class="mono">{titleOf(kind)}</span> of {of.action.service}</h2>
          <p class="muted wrap-anywhere">{of.id}{of.incident && <> · for <a href={to("incidents", of.incident)}>{of.incident}</a>{incident && `: ${incident.summary}`}</>}{of.asked_by && ` · asked by ${of.asked_by}`}</p>
        </div>
        <span class="tag info">expires in&nbsp;<Countdown until={of.expires_ms} of={of.expires_ms - of.created_ms} /></span>
      </header>
      <dl class="facts">
        <div><dt>Sure that it helps</dt><dd><Confidence value={of.confidence} /></dd></div>
        <div><dt>Capacity taken</dt><dd>{percent(of.radius.capacity, 0)} <small>of the service</small></dd></div>
        <div><dt>Requests touched</dt><dd>{percent(of.radius.requests, 0)} <small>on {plural(of.radius.proxies, "proxy", "proxies")}</small></dd></div>
        <div><dt>Lease</dt><dd>{duration(of.action.lease_ms)} <small>renewed while it helps</small></dd></div>
      </dl>
      <div class="inside">
        <section><h3>What changes</h3><ActionDiff kind={kind} service={of.action.service} asItStands /></section>
        <section><h3>What should be seen</h3><p class="wrap-anywhere">{of.predicted_effect || "Nothing was predicted."}</p></section>
        <section><h3>Evidence</h3>{of.evidence.length ? <EvidenceList of={of.evidence} /> : <p class="muted">None: a person asks for it.</p>}</section>
        <section>
          <h3>If it does not help</h3>
          <p>It is measured against the untreated proxies. Unchanged or worse: undone at once. Helped: held until the cause is gone, then given back by probing. If the brain dies, every lease ends within {duration(of.action.lease_ms)}.</p>
          {of.speakers.length > 0 && <><h3 style={{ marginTop: "10px" }}>Who speaks for it</h3><Voices of={of.speakers} /></>}
        </section>
      </div>
      {of.approvals_needed > 1 && <p class="notice info"><Icon name="person" />It touches much: {of.approvals_needed} different people must agree. {agreed.length ? `${agreed.join(", ")} agreed.` : "Nobody has yet."}</p>}
      {mayAnswer.value && <Answer of={of} />}
    </article>
  );
}

/** Yes or no. A card that changed since it was read is refused by the brain, and read again here. */
function Answer({ of }: { of: Proposal }) {
  const [why, setWhy] = useState("");
  const [busy, setBusy] = useState(false);
  const reason = useRef<HTMLInputElement>(null);
  const expired = useNow() >= of.expires_ms;
  const agreed = who.value !== null && (of.approvals ?? []).includes(who.value.name);
  const tell = (tone: "problem" | "said", text: string): void => void (answered.value = { id: of.id, tone, text });
  const answer = async (verb: "approve" | "reject"): Promise<void> => {
    if (verb === "reject" && !why.trim()) {
      tell("problem", "Say why not: the brain learns from it.");
      reason.current?.focus();
      return;
    }
    setBusy(true);
    try {
      await post(`/v1/proposals/${encodeURIComponent(of.id)}/${verb}`, verb === "approve" ? { digest: of.digest, reason: why } : { reason: why });
      const lacking = of.approvals_needed > (of.approvals ?? []).length + 1;
      tell("said", verb === "reject" ? `${of.id} is rejected.` : lacking ? "You agreed. Another person must, too." : `${of.id} is approved, and being carried out.`);
    } catch (refused) {
      const stale = refused instanceof Refused && refused.status === 409;
      tell("problem", stale ? `Not done: ${words(refused)}. The card was read again.` : words(refused));
    }
    setBusy(false);
    await refresh().catch(() => undefined);
  };
  return (
    <footer>
      {answered.value?.id === of.id && <div style={{ flexBasis: "100%" }}><Answered /></div>}
      <input ref={reason} type="text" maxLength={1000} value={why} placeholder="Reason (needed to reject)" aria-label={`Reason for the answer to ${of.id}`} onInput={(event) => setWhy(event.currentTarget.value)} />
      <span class="ends">
        <button class="btn danger" disabled={busy || expired} onClick={() => void answer("reject")}>Reject</button>
        {agreed ? <span class="muted">You agreed; another person must, too.</span> : <button class="btn primary approve" disabled={busy || expired} onClick={() => void answer("approve")}>Approve</button>}
      </span>
    </footer>
  );
}
