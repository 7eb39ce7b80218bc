import { defaultClientConditions } from "vite";
import { defineConfig } from "vitest/config";

/** For the tests and the example, which use the sources of the package. */
export default defineConfig({
  resolve: { conditions: ["@darkroom/source", ...defaultClientConditions] },
  server: { host: "127.0.0.1", port: 5173, strictPort: true },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
