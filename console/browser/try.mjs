// Only the steps named on the command line (pages, hostile, many) against a demo: for whoever works on the console.
import { run } from "./assert.mjs";
import { accessible, pageSteps } from "./every_page.mjs";
import { hostileSteps } from "./hostile.mjs";
import { manySteps } from "./many.mjs";
import { startBrowser, startDemo, until } from "./mesh.mjs";

const demo = await startDemo("advisory", ["--sick-for", "600"]);
const browser = await startBrowser();
let page;
const steps = { pages: () => pageSteps(demo, browser, accessible), hostile: () => hostileSteps(demo, browser, (made) => (page = made)), many: () => manySteps(demo, browser, (made) => (page = made)) };
try {
  await until("a proposal waits", 90_000, async () => (await (await fetch(`${demo.url}/v1/proposals`)).json()).items.length);
  for (const name of process.argv.slice(2)) for (const step of steps[name]()) await run([step], () => page).catch(() => undefined);
} finally {
  await browser.close();
  await demo.stop();
}
