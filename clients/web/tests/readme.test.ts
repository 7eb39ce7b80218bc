import { readFileSync } from "node:fs";

import { expect, test } from "vitest";

import * as published from "../src/index.js";

const README = readFileSync(new URL("../README.md", import.meta.url), "utf8");

test("the README describes every method of the client", () => {
  const methods = Object.getOwnPropertyNames(published.DarkroomClient.prototype).filter((name) => name !== "constructor");
  expect(methods.filter((name) => !README.includes(`\`${name}(`))).toEqual([]);
});

test("the README names everything that the package exports", () => {
  expect(Object.keys(published).filter((name) => !README.includes(name))).toEqual([]);
});
