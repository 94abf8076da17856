// What the browser tests say when something is not so.
import assert from "node:assert/strict";
import { accounts } from "./accounts.mjs";

export { assert };

/** Runs the steps in order; each is a sentence. The first that fails ends the run, with a picture of the page and what
 * every brain says that is there. */
export async function run(steps, page) {
  for (const [sentence, step] of steps) {
    const began = Date.now();
    try {
      await step();
      console.log(`ok    ${sentence} (${Date.now() - began} ms)`);
    } catch (why) {
      console.log(`FAIL  ${sentence}\n${why.stack}`);
      console.log(await accounts());
      await page().screenshot({ path: new URL("../screenshots/failed.png", import.meta.url).pathname }).catch(() => undefined);
      throw why;
    }
  }
}
