// One HTML file with everything in it: scripts and styles inline, nothing fetched. The hash of the sources goes in too,
// so that a test can tell whether the built page in the package is of these sources.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "..", "aoide", "explain", "page", "explorer.html");

function sources(folder = here) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (["node_modules", "dist", "package-lock.json"].includes(name) || name.startsWith(".")) return [];
    return statSync(path).isDirectory() ? sources(path) : [path];
  });
}

function hash() {
  const sum = createHash("sha256");
  for (const path of sources().map((p) => relative(here, p).replaceAll("\\", "/")).sort()) {
    sum.update(`${path}\n`).update(readFileSync(join(here, path)));
  }
  return sum.digest("hex");
}

const safe = (code) => code.replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");

const inline = {
  name: "inline",
  enforce: "post",
  generateBundle(_, bundle) {
    const parts = Object.values(bundle);
    const code = parts.filter((part) => part.type === "chunk").map((part) => part.code).join("\n");
    const style = parts.filter((part) => part.fileName.endsWith(".css")).map((part) => part.source).join("\n");
    const page = parts.find((part) => part.fileName.endsWith(".html"));
    const html = page.source
      .replace(/<script type="module"[^>]*><\/script>/, "")
      .replace(/<link rel="stylesheet"[^>]*>/, "")
      .replace("<!--style-->", () => `<style>${style.trim()}</style>`)
      .replace("<!--script-->", () => `<script type="module">${safe(code.trim())}</script>`)
      .replace("SOURCES", hash());
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, html);
    for (const name of Object.keys(bundle)) delete bundle[name];
  },
};

export default defineConfig({
  build: { outDir: "dist", emptyOutDir: true, target: "es2022", modulePreload: false, cssCodeSplit: false },
  plugins: [inline],
});
