import { defineConfig } from "vitest/config";

/** Where `npm run dev` finds the API; the built page is served by the API itself. */
const api = process.env["DARKROOM_API_URL"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  server: {
    host: "127.0.0.1",
    // The operators' page brings the runbook with it.
    fs: { allow: [".", "../../docs/operating/runbook.md"] },
    proxy: Object.fromEntries(["/v1", "/config.json", "/openapi.json", "/docs"].map((path) => [path, api])),
  },
  build: {
    target: "es2022",
    rolldownOptions: { input: ["index.html", "operator.html"] },
    sourcemap: false,
    // The page's content security policy allows files of its own and nothing inline.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The Firestore SDK is one chunk of its own, larger than the warning's default, and loaded beside the page.
    chunkSizeWarningLimit: 600,
  },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
