// A policy tried on what the brain has seen, and what is usual and expected beside what is measured.
import { assert } from "./assert.mjs";
import { calmConsole } from "./every_page.mjs";
import { signIn } from "./mesh.mjs";

const PATIENCE_MS = 60_000;
const MINUTES = 15;

/** A quarter of an hour to come: 200 requests a second, give or take a half. */
function forecast(now) {
  const minutes = Array.from({ length: MINUTES }, (_, n) => ({ end_ms: now + (n + 1) * 60_000, expected_rps: 200, low_rps: 100, high_rps: 300 }));
  return { items: [{ service: "cart", at_ms: now, level: 0.9, minutes }] };
}

/** The mesh's own picture, as it will be once enough is learned. */
async function learned(demo) {
  const [services, status] = await Promise.all(["/v1/services", "/v1/status"].map(async (path) => (await fetch(`${demo.url}${path}`)).json()));
  const expected = { rps: [150, 250], failure_share: [0, 0.01], p50_ms: [5, 15], p99_ms: [20, 60] };
  for (const one of services.items) Object.assign(one, { expected, usual_rps: 190 });
  return { at_ms: Date.now(), status, services: services.items };
}

export function trialSteps(demo, browser, shown) {
  let page;
  let complaints;
  const section = () => page.getByRole("region", { name: "Try a policy" });
  const outcome = () => section().getByRole("region", { name: "What came of it" });
  const text = () => section().getByLabel("Text of guard.yaml");
  const said = (words) => outcome().getByText(words).first().waitFor({ timeout: PATIENCE_MS });
  const count = (name) => outcome().locator(".stat").filter({ hasText: name }).locator("dd").innerText();
  return [
    ["a policy with a mistake is refused with its place, and one that is right is tried", async () => {
      page = await browser.newPage({ viewport: { width: 1360, height: 860 } });
      shown(page);
      complaints = calmConsole(page);
      await page.goto(`${demo.url}/#/autonomy`);
      await signIn(page, demo.token);
      const inForce = await text().inputValue();
      await text().fill(inForce.replace("cooldown_s:", "cooldwn_s:"));
      await section().getByRole("button", { name: "Try it" }).click();
      await section().getByText(/guard\.yaml:\d+:\d+.*did you mean/s).waitFor();
      await section().getByRole("button", { name: "As in force" }).click();
      await section().getByRole("button", { name: "Replay as it is" }).click();
      await said("Every decision is the same");
      assert.match(await count("Alarms"), /^[1-9]/, "the recording holds the demo's fault");
      assert.match(await count("Done alone"), /^[1-9]/, "and what the brain would have done");
    }],
    ["an edited policy shows what it would have changed, line by line and decision by decision", async () => {
      const inForce = await text().inputValue();
      const edited = inForce.replace(/eject_endpoint: .*/, "eject_endpoint: { mode: advise, threshold: 0.75 }");
      assert.notEqual(edited, inForce);
      await text().fill(edited);
      const diff = section().getByRole("group", { name: "What was edited in guard.yaml" });
      assert.match(await diff.locator("ins").innerText(), /mode: advise/);
      assert.match(await diff.locator("del").innerText(), /mode: auto/);
      await section().getByRole("button", { name: "Try it" }).click();
      await said(/would be another$/);
      assert.match(await count("Done alone"), /^[1-9]\d* → 0$/);
      const row = outcome().getByRole("row").filter({ hasText: "Eject endpoint" }).first();
      assert.match(await row.innerText(), /does it alone[\s\S]*asks a person/);
      await page.reload();
      await said(/would be another$/);
    }],
    ["what is usual lies behind each line, and the next quarter of an hour after it, with its interval", async () => {
      await page.route("**/v1/forecasts", (route) => route.fulfill({ json: forecast(Date.now()) }));
      const picture = await learned(demo);
      await page.route("**/v1/events*", (route) => route.fulfill({ contentType: "text/event-stream", body: `event: picture\ndata: ${JSON.stringify(picture)}\n\n` }));
      await page.goto(`${demo.url}/#/services/cart`);
      await page.reload();
      await page.getByRole("img", { name: /^Requests a second: now .*, 100 to 300 expected in 15 minutes/ }).waitFor({ timeout: PATIENCE_MS });
      await page.getByText("next 15 min, 90 % within").waitFor();
      await page.getByText("At this time of the day and week 190 requests a second are usual.").waitFor();
      const endpoints = picture.services.find((one) => one.service === "cart").endpoints.length;
      for (const name of ["Requests over five minutes, usual from", "Failures over five minutes, usual from", "p50 and p99 over five minutes, usual from"]) {
        assert.equal(await page.getByRole("img", { name }).count(), endpoints, name);
      }
      assert.equal(await page.locator("td rect.usual").count(), 3 * endpoints);
    }],
    ["a weight that changes goes to where it is, for all to see", async () => {
      const picture = await learned(demo);
      let turn = 0;
      await page.unroute("**/v1/events*");
      // Each picture ends its stream; the page comes again by itself, and finds the other weight.
      await page.route("**/v1/events*", (route) => {
        turn += 1;
        for (const one of picture.services.flatMap((service) => service.endpoints)) one.weight = turn % 2 ? 100 : 10;
        return route.fulfill({ contentType: "text/event-stream", body: `event: picture\ndata: ${JSON.stringify(picture)}\n\n` });
      });
      await page.reload();
      await page.waitForFunction(() => document.getAnimations().some((one) => one.transitionProperty === "width" && one.effect.target.matches("td .meter > span")), null, { timeout: PATIENCE_MS, polling: 100 });
    }],
    ["nothing was complained of on the way", async () => {
      assert.deepEqual(complaints.filter((words) => !/status of (422|401)/.test(words)), []);
      await page.close();
    }],
  ];
}
