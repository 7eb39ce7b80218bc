/** Entry point of the operator page: creates its parts and connects them. */

import { HttpClient, ProblemError, loadConfiguration } from "@darkroom/web";

import "../theme";
import { byId } from "../dom";
import { errorText } from "../problems";
import { type Session, authFor, followSession } from "../session";
import { AlertList } from "./alert_list";
import { DataStatus } from "./data_status";
import { DeadLetterList } from "./dead_letter_list";
import { Figures } from "./figures";
import { HistoryView } from "./history/history_view";
import { LastHourView } from "./last_hour";
import type { History, Operations } from "./operations";
import { OperatorApi } from "./operator_api";
import { Poller } from "./poller";
import { connectAuthButtons, showSignedIn } from "./sign_in";
import { Summary } from "./summary";
import { Tables } from "./tables";

const POLL_MILLISECONDS = 3_000;
/** The API stores figures each minute. */
const HISTORY_POLL_MILLISECONDS = 30_000;

let session: Session | null = null;

const api = new OperatorApi(new HttpClient({ token: async () => (await session?.token()) ?? null }));
const summary = new Summary();
const alerts = new AlertList();
const figures = new Figures();
const tables = new Tables();
const lastHour = new LastHourView();
const deadLetters = new DeadLetterList(api);
const status = new DataStatus(() => {
  if (session === null) location.reload();
  else startPolling();
});
const history = new HistoryView(() => { historyPoller.start(); });
const historyPoller = new Poller<History>(() => api.history(history.hours), {
  onData(figures) { history.show(figures); },
  onError(error) { history.showError(error); },
  onRejected() { /* The other poller shows it. */ },
}, HISTORY_POLL_MILLISECONDS);
const poller = new Poller<Operations>(() => api.operations(), {
  onData(operations) {
    const now = Date.now();
    const isCurrent = status.setUpdated(operations.queue.as_of, now);
    if (isCurrent) summary.show(operations);
    else summary.showUnknown();
    alerts.show(operations.conditions);
    figures.show(operations.queue);
    tables.show(operations);
    lastHour.show(operations.last_hour);
    deadLetters.setCount(operations.queue.dead_letters);
    byId("main", HTMLElement).setAttribute("aria-busy", "false");
  },
  onError(error) {
    summary.showUnknown();
    const isReached = error instanceof ProblemError && error.problem.status > 0;
    status.setOutdated(isReached ? `The API returned an error. ${errorText(error)}` : "The API does not respond.");
  },
  onRejected(error) {
    const isSignedIn = error.problem.status === 403;
    summary.showRejected(isSignedIn ? "Access denied." : "Signed out.");
    status.setRejected(isSignedIn ? "This page is only for operators, and you are not one of them." : "Sign in again.");
  },
}, POLL_MILLISECONDS);

function startPolling(): void {
  poller.start();
  historyPoller.start();
}

async function start(): Promise<void> {
  const configuration = await loadConfiguration();
  // Firebase is only needed for sign-in, which the local stack does not have.
  const auth = await authFor(configuration, async () =>
    (await import("firebase/app")).initializeApp(configuration.firebase ?? {}),
  );
  connectAuthButtons(auth);
  followSession(auth, (user) => {
    session = user;
    showSignedIn(auth, user !== null);
    if (user !== null) startPolling();
  });
}

start().catch(() => {
  status.setRejected("The page could not be started because the service does not respond.");
});
