// What holds on every page: nothing is complained of in the console, and whoever does not see or point can use it.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { assert } from "./assert.mjs";
import { signIn } from "./mesh.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const PAGES = ["", "services/cart", "incidents", "incidents/inc-1", "approvals", "actions", "canaries", "audit", "audit/3", "autonomy", "nowhere"];

/** Collects what the page complains of: errors, refused scripts, broken policies. */
export function calmConsole(page) {
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  return complaints;
}

/** What axe finds of serious things at what is shown now. */
export async function accessible(page) {
  // By the debugger's own world: the page's policy lets no script in, and that stays so.
  const client = await page.context().newCDPSession(page);
  await client.send("Runtime.evaluate", { expression: AXE });
  const { result, exceptionDetails } = await client.send("Runtime.evaluate", {
    expression: `axe.run(document, { resultTypes: ["violations"] }).then((found) => JSON.stringify(found.violations.filter((one) => ["serious", "critical"].includes(one.impact)).map((one) => [one.id, one.nodes.map((node) => [node.html, node.failureSummary].join(" :: ")).slice(0, 4)])))`,
    awaitPromise: true, returnByValue: true,
  });
  assert.equal(exceptionDetails, undefined, JSON.stringify(exceptionDetails));
  await client.detach();
  return JSON.parse(result.value);
}

export function pageSteps(demo, browser, judge) {
  const looks = [["dark", 1360], ["light", 1360], ["dark", 390], ["light", 390]];
  return looks.map(([theme, width]) => [`every page is accessible, ${theme}, ${width} pixels wide`, async () => {
    const context = await browser.newContext({ viewport: { width, height: 844 }, colorScheme: theme });
    const page = await context.newPage();
    const complaints = calmConsole(page);
    await page.goto(demo.url);
    await page.getByRole("heading", { level: 1, name: "Mesh" }).waitFor();
    await signIn(page, demo.token);
    const found = [];
    for (const path of PAGES) {
      await page.goto(`${demo.url}/#/${path}`);
      await page.waitForFunction(() => !document.querySelector("main .loading"), null, { timeout: 15_000 });
      found.push(...(await judge(page)).map((one) => ({ path, one })));
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (wider > 0) found.push({ path, one: `${wider} pixels wider than the screen` });
    }
    assert.deepEqual(found, []);
    assert.deepEqual(complaints.filter((text) => !/status of (404|401)/.test(text)), []);
    await context.close();
  }]);
}

/** What a person at night needs on a phone, without scrolling: is it heard, who am I, what runs, and the switch. */
export function phoneSteps(demo, browser, shown) {
  return [["a phone shows what is heard, who is signed in, what runs, and the switch that stops it all", async () => {
    const page = await browser.newPage({ viewport: { width: 390, height: 844 }, hasTouch: true });
    shown(page);
    await page.goto(demo.url);
    await signIn(page, demo.token);
    await page.getByRole("img", { name: "3 of 3 proxies heard" }).waitFor();
    await page.getByRole("button", { name: /^About this brain; signed in as operator/ }).tap();
    const about = page.getByRole("dialog", { name: "About this brain" });
    await about.getByText("Each proxy").tap();
    for (const name of ["web-proxy", "cart-proxy", "catalog-proxy"]) assert.match(await about.getByRole("listitem").filter({ hasText: name }).innerText(), /\d+\.\d+\.\d+ · config [0-9a-f]{8}/);
    await about.getByRole("button", { name: "Close" }).tap();
    await page.getByRole("button", { name: "Freeze", exact: true }).tap();
    const freeze = page.getByRole("dialog", { name: "Freeze the brain" });
    await freeze.getByRole("button", { name: "Freeze and revert all" }).waitFor();
    await freeze.getByRole("button", { name: "Cancel" }).tap();
    assert.equal((await (await fetch(`${demo.url}/v1/status`)).json()).frozen, false, "nothing is stopped by the first touch");
    await page.goto(`${demo.url}/#/audit/2`);
    await page.getByRole("region", { name: "Records" }).getByRole("row").nth(3).waitFor();
    const record = await page.getByRole("heading", { name: "Record 2" }).boundingBox();
    const list = await page.getByRole("region", { name: "Records" }).boundingBox();
    assert.ok(record.y < list.y, "a record that was asked for stands before the list");
    await page.close();
  }], ["what is late is shown as loading, and what failed where it is missing", async () => {
    const page = await browser.newPage();
    shown(page);
    let answer = () => undefined;
    const late = new Promise((done) => (answer = done));
    await page.route("**/v1/audit?*", async (route) => { await late; await route.fulfill({ status: 503, contentType: "application/problem+json", json: { status: 503, title: "Busy", detail: "the log is being moved" } }); });
    await page.goto(`${demo.url}/#/audit`);
    await page.locator("main").getByRole("status", { name: "Loading" }).waitFor();
    answer();
    await page.locator("main").getByRole("alert").filter({ hasText: "the log is being moved" }).waitFor();
    await page.close();
  }]];
}
