/** Composition root of the operators' page: its parts are made here, wired by hand, and set going. */

import { Calls } from "../calls";
import { type Configuration, loadConfiguration } from "../configuration";
import { byId, say } from "../dom";
import { ProblemError } from "../problems";
import { type Session, type SignIn, firebaseSignIn, localSignIn } from "../session";
import { AlertList } from "./alert_list";
import { DeadLetterList } from "./dead_letter_list";
import { Figures } from "./figures";
import { Freshness } from "./freshness";
import { LastHourView } from "./last_hour";
import type { Operations } from "./operations";
import { OperatorApi } from "./operator_api";
import { SummaryView } from "./summary_view";
import { Tables } from "./tables";
import { Watch } from "./watch";

let session: Session | null = null;

const api = new OperatorApi(new Calls(() => session));
const summary = new SummaryView();
const alerts = new AlertList();
const figures = new Figures();
const tables = new Tables();
const lastHour = new LastHourView();
const deadLetters = new DeadLetterList(api);
const freshness = new Freshness(() => { watch.start(); });
const watch = new Watch<Operations>(() => api.operations(), {
  told(operations) {
    const now = Date.now();
    freshness.told(operations.queue.as_of, now);
    summary.show(operations);
    alerts.show(operations.conditions);
    figures.show(operations.queue, now);
    tables.show(operations);
    lastHour.show(operations.last_hour);
    deadLetters.kept(operations.queue.dead_letters);
    byId("room", HTMLElement).setAttribute("aria-busy", "false");
  },
  missed(error) {
    const isReached = error instanceof ProblemError && error.problem.status > 0;
    freshness.missed(isReached ? `The API refuses: ${error.message}.` : "The API does not answer.");
  },
  refused(error) {
    const isKnown = error.problem.status === 403;
    summary.refused(isKnown ? "For operators only." : "Signed out.");
    freshness.refused(isKnown ? "Only operators may see this, and you are none of them." : "Please sign in again.");
  },
});

/** The Firebase SDK is loaded only where people sign in. */
async function signInFor(configuration: Configuration): Promise<SignIn> {
  if (configuration.firebase === null) return localSignIn(configuration.user_id ?? "local");
  const { initializeApp } = await import("firebase/app");
  return firebaseSignIn(initializeApp(configuration.firebase));
}

function offer(signIn: SignIn): void {
  byId("sign-in", HTMLElement).addEventListener("click", () => {
    signIn.signIn().catch(() => { say(byId("sign-in-message", HTMLElement), "Signing in did not work. Try again."); });
  });
  byId("sign-out", HTMLElement).addEventListener("click", () => {
    // Nothing of what an operator saw stays on the screen.
    void signIn.signOut().then(() => { location.reload(); });
  });
}

async function start(): Promise<void> {
  const signIn = await signInFor(await loadConfiguration());
  offer(signIn);
  signIn.watch((user) => {
    session = user;
    byId("welcome", HTMLElement).hidden = user !== null;
    byId("room", HTMLElement).hidden = user === null;
    byId("connection", HTMLElement).hidden = user === null;
    byId("sign-out", HTMLElement).hidden = user === null || !signIn.isOffered;
    if (user === null) watch.stop();
    else watch.start();
  });
}

start().catch(() => { freshness.missed("The page could not be started: the service does not answer. Reload to try again."); });
