// Only the steps named on the command line (pages, phone, hostile, many, people, rollouts, trials) before a real mesh: for whoever works on the console.
import { run } from "./assert.mjs";
import { accessible, pageSteps, phoneSteps } from "./every_page.mjs";
import { hostileSteps } from "./hostile.mjs";
import { manySteps } from "./many.mjs";
import { startBrowser, startDemo, until } from "./mesh.mjs";
import { peopleSteps } from "./people.mjs";
import { rolloutSteps } from "./rollouts.mjs";
import { trialSteps } from "./trials.mjs";

const wanted = process.argv.slice(2);
const demo = wanted.some((name) => !["people", "rollouts", "many"].includes(name)) ? await startDemo("advisory", ["--sick-for", "600"]) : null;
const browser = await startBrowser();
let page;
const shown = (made) => (page = made);
const steps = { pages: () => pageSteps(demo, browser, accessible), phone: () => phoneSteps(demo, browser, shown), hostile: () => hostileSteps(demo, browser, shown), many: () => manySteps(browser, shown), people: () => peopleSteps(browser, shown), rollouts: () => rolloutSteps(browser, shown), trials: () => trialSteps(demo, browser, shown) };
try {
  if (demo) await until("a proposal waits", 90_000, async () => (await (await fetch(`${demo.url}/v1/proposals`)).json()).items.length);
  for (const name of wanted) for (const step of steps[name]()) await run([step], () => page).catch(() => undefined);
} finally {
  await browser.close();
  await demo?.stop();
}
process.exit(0);
