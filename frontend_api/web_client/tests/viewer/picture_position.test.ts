import { expect, test } from "vitest";

import { PicturePosition } from "../../src/viewer/picture_position";
import { taskAt } from "../tasks";

const picture = (id: string) => ({ task: taskAt(1, { id }), index: 0 });
const [first, second, third] = [picture("first"), picture("second"), picture("third")];

test("a picture has its neighbours in the list", () => {
  const position = new PicturePosition();
  position.update(second, [first, second, third]);
  expect([position.text, position.neighbour(-1), position.neighbour(1)]).toEqual(["2 of 3", first, third]);
  position.update(second, [picture("new"), first, second]);
  expect([position.text, position.neighbour(1)]).toEqual(["3 of 3", undefined]);
});

test("a picture that has left the list keeps its place", () => {
  const position = new PicturePosition();
  position.update(second, [first, second, third]);
  position.update(second, [first, third]);
  expect([position.text, position.neighbour(-1), position.neighbour(1)]).toEqual(["", first, third]);
});

test("a picture that was never listed is before the list", () => {
  const position = new PicturePosition();
  position.update(second, [first]);
  expect([position.text, position.neighbour(-1), position.neighbour(1)]).toEqual(["", undefined, first]);
});
