// What each role sees and may do, two people for what touches much, and what the page says while parts are missing.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { assert } from "./assert.mjs";
import { calmConsole } from "./every_page.mjs";
import { signIn, until } from "./mesh.mjs";
import { SmallMesh } from "./small_mesh.mjs";

const PATIENCE_MS = 60_000;
/** With three endpoints, one of them is more than this. */
const FOUR_EYES = readFileSync(new URL("../../policies/guard.yaml", import.meta.url), "utf8").replace(/^four_eyes_above: .*/m, "four_eyes_above: 0.2");
const EMPTY = [["", "No traffic yet"], ["incidents", "No incident"], ["approvals", "Nothing waits for you"], ["actions", "Nothing is being done"], ["services/shop", "No such service has traffic now"], ["autonomy", "There is no recording yet"], ["audit", /^epoch 1, version/]];
const STEERS = ["Freeze", "Undo"];
const ANSWERS = ["Approve", "Reject"];

export function peopleSteps(browser, shown) {
  let mesh;
  const pages = {};
  const complaints = [];
  const at = async (who, path) => {
    await pages[who].goto(`${mesh.url}/#/${path}`);
    shown(pages[who]);
    return pages[who];
  };
  const buttons = async (page, names) => Object.fromEntries(await Promise.all(names.map(async (name) => [name, await page.getByRole("button", { name, exact: true }).count()])));
  const none = (names) => Object.fromEntries(names.map((name) => [name, 0]));
  const ask = (path, body) => fetch(`${mesh.url}${path}`, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json", authorization: `Bearer ${mesh.operator}` } });
  const says = (page, text) => page.getByText(text).first().waitFor({ timeout: PATIENCE_MS });

  return [
    ["before anything reports, every page says what is missing", async () => {
      mesh = await SmallMesh.start({ "guard.yaml": FOUR_EYES });
      mesh.operator = readFileSync(join(mesh.dir, "api.token"), "utf8").trim();
      const tokens = { vic: mesh.token("vic", "viewer"), ana: mesh.token("ana", "approver"), operator: mesh.operator };
      for (const [who, token] of Object.entries(tokens)) {
        pages[who] = await browser.newPage({ viewport: { width: 1360, height: 860 } });
        complaints.push(calmConsole(pages[who]));
        await at(who, "");
        await until("the token is known", PATIENCE_MS, async () => (await fetch(`${mesh.url}/v1/session`, { headers: { authorization: `Bearer ${token}` } })).ok);
        await signIn(pages[who], token);
      }
      for (const [path, words] of EMPTY) await says(await at("vic", path), words);
    }],
    ["a service appears by itself with its first requests", async () => {
      const page = await at("vic", "");
      await mesh.carry();
      await page.getByRole("link", { name: "shop", exact: true }).waitFor({ timeout: PATIENCE_MS });
      await says(page, "1 of 1 proxy heard");
    }],
    ["a viewer sees everything and no button that changes anything; an approver answers and steers nothing", async () => {
      const endpoint = `127.0.0.1:${mesh.ports[0]}`;
      await until("the action is proposed", PATIENCE_MS, async () => (await ask("/v1/actions", { service: "shop", lease_ms: 60_000, kind: { type: "eject_endpoint", endpoint } })).ok);
      for (const who of ["vic", "ana"]) {
        for (const path of ["", "incidents", "approvals", "actions", "audit", "autonomy"]) {
          const page = await at(who, path);
          await page.locator("main h1").waitFor();
          assert.deepEqual(await buttons(page, STEERS), none(STEERS), `${who} at ${path}`);
          const forms = await page.locator("main select:not(section[aria-labelledby=try-head] select)").count();
          assert.ok(path === "audit" || forms === 0, `${who} sets nothing at ${path}`);
        }
      }
      const page = await at("vic", "approvals");
      await says(page, "You may look; approvers decide.");
      assert.deepEqual(await buttons(page, ANSWERS), none(ANSWERS));
      assert.equal(await (await at("vic", "autonomy")).getByRole("button", { name: "Observe", exact: true }).isDisabled(), true);
      const answers = await at("ana", "approvals");
      await answers.getByRole("button", { name: "Approve", exact: true }).waitFor();
      assert.deepEqual(await buttons(await at("operator", "approvals"), ["Freeze"]), { Freeze: 1 });
    }],
    ["what touches much needs two people, and who has agreed does not agree twice", async () => {
      const asker = await at("operator", "approvals");
      await says(asker, "2 different people must agree. operator agreed.");
      await says(asker, "You agreed; another person must, too.");
      assert.deepEqual(await buttons(asker, ["Approve"]), none(["Approve"]));
      const card = await at("ana", "approvals");
      await says(card, "33 %");
      await says(card, /expires in/);
    }],
    ["a card of the mesh as it was is refused, and what stands in its place asks everybody anew", async () => {
      await mesh.reweigh(Array.from({ length: 3 }, () => ({ weight: 200 })));
      await until("the brain hears of the weights", PATIENCE_MS, async () => (await (await fetch(`${mesh.url}/v1/services`)).json()).items[0]?.endpoints.every((one) => one.weight_configured === 200));
      const card = pages.ana;
      await says(card, "prop-1");
      await card.getByRole("button", { name: "Approve", exact: true }).click();
      await says(card, /^Not done: .*proposed in its place.*The card was read again\.$/);
      await says(card, "2 different people must agree. Nobody has yet.");
      assert.equal((await (await fetch(`${mesh.url}/v1/actions`)).json()).items.length, 0, "nothing was done");
      for (const who of ["operator", "ana"]) {
        const page = await at(who, "approvals");
        await page.getByRole("button", { name: "Approve", exact: true }).click();
        if (who === "operator") await says(page, "You agreed. Another person must, too.");
      }
      await says(card, "Nothing waits for you");
      await says(await at("vic", "actions"), `127.0.0.1:${mesh.ports[0]}`);
      assert.deepEqual(await buttons(pages.vic, ["Undo"]), none(["Undo"]));
      await (await at("operator", "actions")).getByRole("button", { name: "Undo", exact: true }).waitFor();
    }],
    ["in observe mode nothing is asked, and what would have been done stands on the page", async () => {
      await ask("/v1/freeze", { revert_all: true });
      await ask("/v1/unfreeze", {});
      await ask("/v1/mode", { mode: "observe" });
      mesh.sick = 2;
      const page = await at("vic", "autonomy");
      const held = page.getByRole("region", { name: "What it would have done alone" }).getByRole("row").filter({ hasText: `127.0.0.1:${mesh.ports[2]}` });
      await held.first().waitFor({ timeout: PATIENCE_MS });
      assert.match(await held.first().innerText(), /Eject endpoint[\s\S]*33\s%[\s\S]*not done/);
      assert.equal((await (await fetch(`${mesh.url}/v1/proposals`)).json()).items.filter((one) => one.state === "pending").length, 0);
      mesh.sick = null;
    }],
    ["three kinds of silence are told apart", async () => {
      const page = await at("vic", "");
      mesh.rest();
      await page.getByRole("row").filter({ hasText: /No traffic.*shop/ }).waitFor({ timeout: PATIENCE_MS });
      mesh.ask();
      mesh.wire.cut();
      await page.getByRole("row").filter({ hasText: /No telemetry.*shop/ }).waitFor({ timeout: PATIENCE_MS });
      await page.getByRole("img", { name: /^Map of 1 service: shop: no telemetry/ }).waitFor();
      await says(page, "0 of 1 proxy heard");
      mesh.rest();
      await mesh.proxy.end("SIGKILL");
      await page.getByRole("row").filter({ hasText: /Proxies lost.*shop/ }).waitFor({ timeout: PATIENCE_MS });
    }],
    ["a brain that is killed is told as gone, and found again by itself when it is back", async () => {
      const page = await at("operator", "audit");
      await mesh.brain.end("SIGKILL");
      await says(page, /^The brain does not answer/);
      await says(page, /^Last heard/);
      await says(page, "Disconnected");
      await mesh.wake();
      await page.getByText("Live", { exact: true }).first().waitFor({ timeout: PATIENCE_MS });
      assert.equal(await page.getByText(/^The brain does not answer/).count(), 0);
      // Sessions end with the brain that opened them: the page says so, and offers to sign in.
      await page.getByRole("button", { name: "Sign in", exact: true }).first().waitFor();
      assert.deepEqual(await buttons(page, ["Freeze"]), none(["Freeze"]));
      await until("both starts stand in the log", PATIENCE_MS, async () => (await page.getByRole("row", { name: /Brain started/ }).count()) === 2);
      await signIn(page, mesh.operator);
      await page.getByRole("button", { name: "Freeze", exact: true }).waitFor();
    }],
    ["nobody's page complained of anything but what was away", async () => {
      const away = /status of (404|401|409)|ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/;
      assert.deepEqual(complaints.flat().filter((text) => !away.test(text)), []);
      await Promise.all(Object.values(pages).map((page) => page.close()));
      await mesh.stop();
    }],
  ];
}
