// A policy tried on what the brain has seen.
import { assert } from "./assert.mjs";
import { calmConsole } from "./every_page.mjs";
import { signIn } from "./mesh.mjs";

const PATIENCE_MS = 60_000;

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
    ["nothing was complained of on the way", async () => {
      assert.deepEqual(complaints.filter((words) => !/status of (422|401)/.test(words)), []);
      await page.close();
    }],
  ];
}
