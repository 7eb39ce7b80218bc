/** Composition root: the page's parts are made here, wired by hand, and set going. */

import { Api } from "./api";
import { announce } from "./announcer";
import { loadConfiguration } from "./configuration";
import { Connection } from "./connection";
import { byId, say } from "./dom";
import { ParameterForm } from "./parameter_form";
import { ProblemError, placed } from "./problems";
import type { Session, SignIn } from "./session";
import { SubmitIntent } from "./submit_intent";
import { actionsWith } from "./task_actions";
import { TaskList } from "./task_list";
import { Viewer } from "./viewer";

const PAGE_SIZE = 50;

let session: Session | null = null;
let watch: ((count: number) => void) | null = null;
let shownCount = PAGE_SIZE;

const api = new Api(() => session);
const intent = new SubmitIntent();
const form = new ParameterForm(submit, (body) => api.warningsOf(body));
const connection = new Connection(() => { watch?.(shownCount); });
const actions = actionsWith(api, form, (task, index, source) => { viewer.open(task, index, source); });
const viewer = new Viewer(actions);
const list = new TaskList(actions, () => {
  shownCount += PAGE_SIZE;
  watch?.(shownCount);
});

async function submit(body: string): Promise<void> {
  try {
    const { served } = await api.submit(body, intent.keyFor(body));
    intent.settled();
    if (served === false) form.say("Accepted, but no worker serves this model now: the task waits until one does.", true);
    else form.say("Accepted. It comes up in the tray.");
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    if (!error.problem.retryable) intent.settled();
    const { fields, message } = placed(error.problem);
    form.show(fields);
    form.say(message ?? "Please look at the marked fields.", true);
  }
}

async function start(): Promise<void> {
  // The Firestore SDK is most of the page's weight: it loads while the configuration is on its way.
  const [configuration, firebase] = await Promise.all([loadConfiguration(), import("./firebase_session")]);
  const opened = await firebase.open(configuration);
  offerSignIn(opened.signIn);
  let stop: (() => void) | null = null;
  opened.signIn.watch((user) => {
    if (user?.userId !== session?.userId) list.clear();
    session = user;
    shownCount = PAGE_SIZE;
    stop?.();
    byId("welcome", HTMLElement).hidden = user !== null;
    byId("room", HTMLElement).hidden = user === null;
    byId("connection", HTMLElement).hidden = user === null;
    byId("sign-out", HTMLElement).hidden = user === null || !opened.signIn.isOffered;
    watch = user && ((count) => {
      stop?.();
      stop = opened.watchTasks(user.userId, count, {
        changed: (tasks, hasMore) => { list.show(tasks, hasMore); },
        connected: (isLive) => { connection.live(isLive); },
        refused: (code) => { connection.refused(code); },
      });
    });
    watch?.(shownCount);
    if (user) void offerModels();
  });
}

async function offerModels(nextTryMilliseconds = 2_000): Promise<void> {
  try {
    form.offer(await api.models());
    form.say("");
  } catch (error) {
    form.say(error instanceof ProblemError ? error.message : "The models could not be read.", true);
    setTimeout(() => void offerModels(Math.min(60_000, nextTryMilliseconds * 2)), nextTryMilliseconds);
  }
}

function offerSignIn(signIn: SignIn): void {
  byId("sign-in", HTMLElement).addEventListener("click", () => {
    signIn.signIn().catch(() => { say(byId("sign-in-message", HTMLElement), "Signing in did not work. Try again."); });
  });
  byId("sign-out", HTMLElement).addEventListener("click", () => {
    void signIn.signOut().then(() => { announce("Signed out"); });
  });
}

start().catch(() => {
  connection.refused("unavailable");
  connection.tell("The page could not be started: the service does not answer. Reload to try again.");
});
