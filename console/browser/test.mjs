// The console in a real browser, before a real mesh: `lightsout demo` in advisory mode, its fault, and a person.
import { assert, run } from "./assert.mjs";
import { accessible, calmConsole, pageSteps, phoneSteps } from "./every_page.mjs";
import { hostileSteps } from "./hostile.mjs";
import { manySteps } from "./many.mjs";
import { signIn, startBrowser, startDemo, until } from "./mesh.mjs";
import { peopleSteps } from "./people.mjs";
import { rolloutSteps } from "./rollouts.mjs";
import { trialSteps } from "./trials.mjs";

const PATIENCE_MS = 60_000;
const EVIL_REASON = `the evidence is plain <img src=x onerror="window.pwned=1">`;

const demo = await startDemo("advisory", ["--sick-for", "600"]);
const browser = await startBrowser();
let page = await browser.newPage({ viewport: { width: 1360, height: 860 } });
page.setDefaultTimeout(PATIENCE_MS);
const complaints = calmConsole(page);
const list = async (path) => (await (await fetch(`${demo.url}${path}`)).json()).items;
const row = (name) => page.getByRole("region", { name: "Services" }).getByRole("row").filter({ has: page.getByRole("link", { name, exact: true }) });
const failures = async (name) => Number.parseFloat(await row(name).getByRole("cell").nth(2).innerText());
const ejection = () => page.getByRole("article", { name: /^Eject endpoint/ });
const open = async (name) => {
  await page.getByRole("navigation", { name: "Pages" }).first().getByRole("link", { name: new RegExp(`^${name}`) }).click();
  await page.getByRole("heading", { level: 1, name }).waitFor();
};

const isEjected = async () => (await list("/v1/proposals")).some((one) => one.state === "executed" && one.action.kind.type === "eject_endpoint");
/** Answers the ejection's card, if there is one, and waits for what is said to that. */
async function approveByKeys() {
  if (!(await ejection().count())) return;
  await page.locator("main").focus();
  // The service as a whole may be found sick as well, and have a card of its own.
  await until("the card is reached", PATIENCE_MS, async () => {
    await page.keyboard.press("j");
    return ejection().evaluate((card) => card === document.activeElement);
  });
  await page.keyboard.press("r");
  const reason = ejection().getByLabel(/^Reason for the answer/);
  if (!(await reason.inputValue())) await page.keyboard.type(EVIL_REASON);
  assert.equal(await reason.inputValue(), EVIL_REASON);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.getByText(/is approved, and being carried out|^Not done: /).waitFor({ timeout: 10_000 }).catch(() => undefined);
}

const story = [
  ["the page is served with a strict policy and at most 150 kB", async () => {
    const answer = await page.goto(demo.url);
    const policy = answer.headers()["content-security-policy"];
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe/);
    await page.getByRole("heading", { level: 1, name: "Mesh" }).waitFor();
    const bytes = await until("script, style and font are there", PATIENCE_MS, () => page.evaluate(() => {
      const parts = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource").filter((one) => one.name.includes("/console/"))];
      return parts.length >= 4 && parts.every((one) => one.encodedBodySize > 0) && parts.reduce((sum, one) => sum + one.encodedBodySize, 0);
    }));
    assert.ok(bytes > 20_000 && bytes <= 150 * 1024, `${bytes} bytes`);
    assert.equal(await page.locator("script:not([src])").count(), 0);
  }],
  ["the mesh appears, live", async () => {
    await page.getByText("Live", { exact: true }).first().waitFor();
    for (const name of ["web", "cart", "catalog"]) await row(name).waitFor();
    assert.match(await page.getByRole("img", { name: /^Map of 3 services/ }).getAttribute("aria-label"), /table beside it/);
  }],
  ["who is not known sees no buttons that change anything", async () => {
    for (const name of ["Freeze", "Approve", "Reject", "Undo"]) assert.equal(await page.getByRole("button", { name, exact: true }).count(), 0, name);
  }],
  ["a wrong token is not taken, a right one is", async () => {
    await page.getByRole("button", { name: "Sign in", exact: true }).first().click();
    await page.getByLabel("Token").fill("not-the-token-of-this-brain-0123456789");
    await page.getByRole("dialog").getByRole("button", { name: "Sign in", exact: true }).click();
    await page.getByText("This token is not known.").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    await signIn(page, demo.token);
    await page.getByRole("button", { name: "Freeze", exact: true }).waitFor();
    await page.reload();
    await page.getByRole("button", { name: "Freeze", exact: true }).waitFor();
    assert.equal(await page.evaluate((token) => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]).includes(token), demo.token), false, "no script can read what opens the door");
  }],
  ["the incident appears by itself, with its story", async () => {
    await page.getByRole("navigation", { name: "Pages" }).first().getByRole("link", { name: /^Incidents.*1/ }).waitFor();
    await until("cart fails at the page", PATIENCE_MS, async () => (await failures("cart")) > 2);
    await open("Incidents");
    await page.getByRole("link", { name: "Bad endpoint" }).click();
    await page.getByRole("heading", { name: "Evidence" }).waitFor();
    await page.getByText("Failures against siblings").first().waitFor();
    await page.getByRole("img", { name: /^Share of failures: now/ }).waitFor();
  }],
  ["rejecting needs a reason", async () => {
    await open("Approvals");
    await ejection().getByRole("button", { name: "Reject" }).click();
    await page.getByText("Say why not").waitFor();
  }],
  ["a person approves it, by keyboard alone", async () => {
    // The guard may not allow it at that moment, or a fresh card take the place of the one that was read, where a busy
    // machine has told nothing for a while: a person reads what is said then, and answers again.
    await until("the ejection is carried out", 2 * PATIENCE_MS, async () => (await isEjected()) || (await approveByKeys(), isEjected()));
    await page.getByRole("heading", { name: "Decided" }).waitFor();
    await ejection().waitFor({ state: "detached" });
  }],
  ["failures fall", async () => {
    await open("Mesh");
    await until("cart fails no more", 3 * PATIENCE_MS, async () => (await failures("cart")) < 1);
    await page.getByText("1 out").waitFor();
  }],
  ["the service's page shows the endpoint taken out", async () => {
    await page.getByRole("link", { name: "cart", exact: true }).first().click();
    await page.getByRole("cell", { name: "Taken out" }).waitFor();
    await page.getByRole("img", { name: /^Requests a second: now/ }).waitFor();
    await page.getByRole("heading", { name: "Leases" }).waitFor();
  }],
  ["its effect is told with an interval", async () => {
    await open("Incidents");
    await page.getByRole("link", { name: "Bad endpoint" }).click();
    await page.getByText("Helped", { exact: true }).first().waitFor();
    await page.getByText(/fell by .* to .* \(95 %\)/).first().waitFor();
  }],
  ["the audit log holds it, found by the words of the approval, which are text", async () => {
    await open("Audit");
    await page.getByLabel("Search").fill("the evidence is plain <img");
    await page.getByRole("link", { name: /^\d+$/ }).first().waitFor();
    await until("only what fits is shown", PATIENCE_MS, async () => (await page.locator("tbody tr").count()) === (await list(`/v1/audit?text=${encodeURIComponent("evidence is plain <img")}`)).length);
    await page.getByRole("row", { name: /Approved: Eject endpoint/ }).click();
    await page.getByRole("heading", { name: /^Record \d+/ }).waitFor();
    await page.getByText(EVIL_REASON).first().waitFor();
    await page.getByRole("button", { name: /^Explain/ }).click();
    await page.getByText("the same in every answer").first().waitFor();
    assert.match(page.url(), /#\/audit\/\d+$/, "a permalink");
    assert.equal(await page.evaluate(() => window.pwned), undefined);
  }],
  ["the chain is verified, with its head", async () => {
    await page.getByRole("button", { name: "Verify" }).click();
    assert.match(await page.locator("#proof").innerText(), /Intact: \d+ records\. Head [0-9a-f]{64}/);
  }],
  ["the log can be taken away", async () => {
    const lines = (await (await fetch(`${demo.url}/v1/audit/export`)).text()).trim().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(lines.map((one) => one.seq), lines.map((_, n) => n + 1));
  }],
  ["looking back shows the mesh as it was, and now is one click away", async () => {
    await open("Mesh");
    const [incident] = await list("/v1/incidents");
    const slider = page.getByRole("slider", { name: "Look back within the last hour" });
    await slider.evaluate((input, at) => { input.value = String(at); input.dispatchEvent(new Event("input", { bubbles: true })); }, incident.opened_ms + 6_000);
    await page.getByText(/^Looking back at/).waitFor();
    await until("cart failed then", PATIENCE_MS, async () => (await failures("cart")) > 1);
    await page.getByRole("button", { name: "Back to now" }).click();
    await until("and does not now", PATIENCE_MS, async () => (await failures("cart")) < 1);
  }],
  ["a person undoes it", async () => {
    await open("Actions");
    // A probe may take the place of the action between the look and the click: then the one that is live is undone.
    await until("nothing is being done", PATIENCE_MS, async () => {
      const undo = page.getByRole("button", { name: "Undo", exact: true }).first();
      const dialog = page.getByRole("dialog", { name: /^Undo act-/ });
      const short = { timeout: 3_000 };
      if (await undo.isVisible()) {
        await undo.click(short).then(async () => {
          await dialog.getByLabel(/^Reason/).fill("it was a drill", short);
          await dialog.getByRole("button", { name: "Undo" }).click(short);
          await dialog.waitFor({ state: "detached", ...short });
          // The proxies answer in their own time; until then it is still live.
          await page.getByText("Nothing is being done").waitFor({ timeout: 10_000 });
        }).catch(() => dialog.getByRole("button", { name: "Cancel" }).click(short).catch(() => undefined));
      }
      return page.getByText("Nothing is being done").isVisible();
    });
    await page.getByRole("heading", { name: "History" }).waitFor();
  }],
  ["the mode is set, and the banner follows", async () => {
    await open("Autonomy");
    await page.getByRole("button", { name: "Observe", exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Set to observe" }).click();
    await page.getByText("looks and says", { exact: true }).waitFor();
  }],
  ["a person freezes and unfreezes the brain", async () => {
    await page.getByRole("button", { name: "Freeze", exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Freeze and revert all" }).click();
    await page.getByText(/^Frozen: the brain watches/).waitFor();
    await page.getByRole("button", { name: "Unfreeze" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Unfreeze" }).click();
    await page.getByRole("button", { name: "Freeze", exact: true }).waitFor();
  }],
  ["a write that the page did not make is refused", async () => {
    const forged = await page.evaluate(async () => (await fetch("/v1/freeze", { method: "POST", body: "{}", headers: { "content-type": "application/json" } })).status);
    assert.equal(forged, 403, "the cookie alone does nothing");
    const answer = await fetch(`${demo.url}/v1/freeze`, { method: "POST", headers: { origin: "http://evil.example", "content-type": "application/json" }, body: "{}" });
    assert.ok([401, 403].includes(answer.status), String(answer.status));
  }],
  ["nothing was complained of", () => assert.deepEqual(complaints.filter((text) => !/status of (409|404|403|401)/.test(text)), [])],
  ["a brain that is gone is told, and one that is back is found", async () => {
    await page.route("**/v1/events*", (route) => route.abort());
    await page.reload();
    await page.getByText(/^The brain does not answer/).waitFor();
    await page.unroute("**/v1/events*");
    await page.getByText("Live", { exact: true }).first().waitFor();
  }],
];

const shown = (made) => (page = made);
/** Meshes of their own mostly wait: in that time the demo's is looked at. */
let other = page;
const beside = (made) => (other = made);
const besides = [...rolloutSteps(browser, beside), ...peopleSteps(browser, beside)];
const looks = [...trialSteps(demo, browser, shown), ...pageSteps(demo, browser, accessible), ...phoneSteps(demo, browser, shown), ...hostileSteps(demo, browser, shown)];

let failed = false;
try {
  await run(story, () => page);
  await Promise.all([run(looks, () => page), run(besides, () => other)]);
  // Alone: it measures.
  await demo.stop();
  await run(manySteps(browser, shown), () => page);
} catch {
  failed = true;
} finally {
  await browser.close();
  await demo.stop();
}
process.exit(failed ? 1 : 0);
