import { defaultClientConditions, defaultServerConditions } from "vite";
import { defineConfig } from "vitest/config";

/** The API that `npm run dev` uses. The API itself serves the built page. */
const api = process.env["DARKROOM_API_URL"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  // Relative addresses: a proxy may offer the page below a path of its own.
  base: "./",
  // The sources of clients/web instead of its build.
  resolve: { conditions: ["@darkroom/source", ...defaultClientConditions] },
  ssr: { resolve: { conditions: ["@darkroom/source", ...defaultServerConditions] } },
  server: {
    host: "127.0.0.1",
    // The operator page contains the runbook.
    fs: { allow: [".", "../../clients/web", "../../node_modules", "../../docs/operating/runbook.md"] },
    proxy: Object.fromEntries(["/v1", "/config.json", "/openapi.json", "/docs"].map((path) => [path, api])),
  },
  build: {
    target: "es2022",
    rolldownOptions: { input: ["index.html", "operator.html", "docs.html"] },
    sourcemap: false,
    // The Content-Security-Policy permits no inline code.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The Firestore SDK and the OpenAPI viewer are large chunks of their own.
    chunkSizeWarningLimit: 900,
  },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
