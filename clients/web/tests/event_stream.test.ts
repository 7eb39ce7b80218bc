import { expect, test } from "vitest";

import { EventParser } from "../src/event_stream.js";

test("events are complete after an empty line", () => {
  const parser = new EventParser();
  expect(parser.push(":\nevent: task\nid: 1\nda")).toEqual([]);
  expect(parser.push('ta: {"a": 1}\n')).toEqual([]);
  expect(parser.push("\nevent: removed\ndata: {}\n\n")).toEqual([
    { event: "task", data: '{"a": 1}' },
    { event: "removed", data: "{}" },
  ]);
});

test("comments and empty lines are no events", () => {
  expect(new EventParser().push(":\n\n:\n\n")).toEqual([]);
});

test("data may have several lines and carriage returns", () => {
  expect(new EventParser().push("data: a\r\ndata: b\r\n\r\n")).toEqual([{ event: "message", data: "a\nb" }]);
});
