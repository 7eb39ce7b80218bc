import { beforeEach, expect, test } from "vitest";

import { type Auth, type Session, followSession } from "../src/session";

let change: (session: Session | null) => void;
let events: string[];

const session = (userId: string): Session => ({ userId, email: null, token: () => Promise.resolve(null) });

beforeEach(() => {
  events = [];
  const nothing = () => Promise.resolve();
  const auth: Auth = { subscribe: (onChange) => { change = onChange; }, signIn: nothing, signOut: nothing, isOffered: true };
  followSession(auth, (user) => events.push(user?.userId ?? "none"), () => events.push("leave"));
});

test("a page without a user gets the user who signs in", () => {
  change(null);
  change(session("ada"));
  change(session("ada"));
  expect(events).toEqual(["none", "ada", "ada"]);
});

test.each([null, session("bob")])("a page is left when its user is not signed in any more", (next) => {
  change(session("ada"));
  change(next);
  expect(events).toEqual(["ada", "leave"]);
});

test("a page that is left gets no other user", () => {
  change(session("ada"));
  change(null);
  change(session("bob"));
  expect(events).toEqual(["ada", "leave", "leave"]);
});
