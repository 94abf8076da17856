// Types from the API's document, one script, one style, the font; each named by what is in it and zipped beside.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import openapi, { astToString } from "openapi-typescript";

const here = new URL(".", import.meta.url);
const at = (path) => new URL(path, here);
const MAX_GZIP_BYTES = 150 * 1024;

const types = await openapi(at("../config/schemas/api.schema.json"), { alphabetize: true });
writeFileSync(at("src/data/api.ts"), `// Made by build.mjs from the brain's OpenAPI document. Do not edit.\n${astToString(types)}`);

const named = (name, bytes) => {
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 12);
  return name.replace(/(\.[a-z0-9]+)$/, `-${hash}$1`);
};
const files = new Map();
const font = readFileSync(at("node_modules/@fontsource-variable/inter/files/inter-latin-wght-normal.woff2"));
const fontName = named("inter.woff2", font);
files.set(fontName, font);

const bundled = await build({
  entryPoints: [at("src/main.tsx").pathname],
  bundle: true, minify: true, format: "esm", target: "es2022", write: false, outdir: "/out", legalComments: "none",
  jsx: "automatic", jsxImportSource: "preact", external: ["*.woff2"], logLevel: "warning",
});
const output = (ending) => bundled.outputFiles.find((file) => file.path.endsWith(ending));
const style = Buffer.from(output(".css").text.replaceAll("inter.woff2", fontName));
const script = Buffer.from(output(".js").contents);
const [styleName, scriptName] = [named("console.css", style), named("console.js", script)];
files.set(styleName, style);
files.set(scriptName, script);
const icon = readFileSync(at("src/icon.svg"));
const iconName = named("icon.svg", icon);
files.set(iconName, icon);
const page = readFileSync(at("src/index.html"), "utf8");
const filled = page.replaceAll("{script}", scriptName).replaceAll("{style}", styleName).replaceAll("{icon}", iconName).replaceAll("{font}", fontName);
files.set("index.html", Buffer.from(filled));

mkdirSync(at("dist"), { recursive: true });
// The folder itself stays: the program's build watches it.
for (const old of readdirSync(at("dist")).filter((name) => !name.startsWith("."))) rmSync(at(`dist/${old}`));
let total = 0;
for (const [name, bytes] of files) {
  writeFileSync(at(`dist/${name}`), bytes);
  const zipped = name.endsWith(".woff2") ? null : gzipSync(bytes, { level: 9 });
  if (zipped) writeFileSync(at(`dist/${name}.gz`), zipped);
  total += (zipped ?? bytes).length;
}
console.log(`console: ${(total / 1024).toFixed(1)} kB over the wire, at most ${MAX_GZIP_BYTES / 1024} kB`);
if (total > MAX_GZIP_BYTES) {
  console.error("the console is too large");
  process.exit(1);
}
