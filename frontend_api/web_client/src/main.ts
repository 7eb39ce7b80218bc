/** Entry point of the page: creates its parts and connects them. */

import { announce } from "./announcer";
import { Api } from "./api";
import type { Model } from "./catalog";
import { loadConfiguration } from "./configuration";
import { LiveConnection } from "./live_connection";
import { ParameterForm } from "./form/parameter_form";
import { ProblemError, errorText, formMessages } from "./problems";
import { type Session, connectAuthButtons, showNotAllowed, showSignedIn } from "./session";
import { SubmitIntent } from "./form/submit_intent";
import { createActions } from "./task_actions";
import { TaskList } from "./task_list";
import { Viewer } from "./viewer/viewer";

const PAGE_SIZE = 50;
const MAX_RETRY_MILLISECONDS = 60_000;
const MODEL_REFRESH_MILLISECONDS = 15_000;

let session: Session | null = null;
/** Subscribe to the newest `shownCount` tasks; null while no user is signed in. */
let subscribe: (() => void) | null = null;
let unsubscribe: (() => void) | null = null;
let shownCount = PAGE_SIZE;
let modelTimer: ReturnType<typeof setTimeout> | undefined;

const api = new Api(() => session);
const intent = new SubmitIntent();
const form = new ParameterForm(submit, (body) => api.warningsOf(body), api);
const connection = new LiveConnection(() => {
  if (subscribe === null) location.reload();
  else subscribe();
});
const actions = createActions(api, form, (task, index, source) => { viewer.open(task, index, source); });
const viewer = new Viewer({ ...actions, findTask: (id) => api.taskDocument(id) }, () => list.pictures);
const list = new TaskList(actions, () => {
  shownCount += PAGE_SIZE;
  subscribe?.();
});

async function submit(body: string): Promise<void> {
  try {
    const served = await api.submit(body, intent.keyFor(body));
    intent.settle();
    if (served === false) {
      form.setMessage("Task queued. It waits because no worker serves this model now.", true);
      refreshModelsLater();
    } else form.setMessage("Task queued. It appears in the list.");
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    if (!error.problem.retryable) intent.settle();
    const { fields, message } = formMessages(error.problem);
    form.show(fields);
    form.setMessage(message ?? "Correct the marked fields.", true);
  }
}

async function start(): Promise<void> {
  // The Firestore SDK is most of the page's size: load it in parallel with the configuration.
  const [configuration, firebase] = await Promise.all([loadConfiguration(), import("./firebase_session")]);
  const { auth, subscribeToTasks } = await firebase.open(configuration);
  connectAuthButtons(auth, () => { announce("Signed out"); });
  auth.subscribe((user) => {
    if (user?.userId !== session?.userId) list.clear();
    session = user;
    shownCount = PAGE_SIZE;
    unsubscribe?.();
    showSignedIn(auth, user !== null);
    subscribe = user && (() => {
      unsubscribe?.();
      unsubscribe = subscribeToTasks(user.userId, shownCount, {
        onChange: (tasks, hasMore) => {
          list.show(tasks, hasMore);
          void viewer.openAddress();
        },
        onConnectionChange: (isLive) => { connection.setLive(isLive); },
        onRejected: (code) => { connection.setRejected(code); },
      });
    });
    subscribe?.();
    if (user) void loadModels();
  });
}

async function loadModels(retryMilliseconds = 2_000): Promise<void> {
  try {
    showModels(await api.models());
    form.setMessage("");
  } catch (error) {
    if (error instanceof ProblemError && error.problem.code === "user_not_allowed") {
      unsubscribe?.();
      showNotAllowed(errorText(error));
      return;
    }
    form.setMessage(errorText(error, "The list of models could not be loaded."), true);
    setTimeout(() => void loadModels(Math.min(MAX_RETRY_MILLISECONDS, retryMilliseconds * 2)), retryMilliseconds);
  }
}

function showModels(models: readonly Model[]): void {
  form.setModels(models);
  list.setModelsShown(models.length > 1);
  // A worker may start to serve a model while the page is open.
  if (models.some(({ served }) => served === false)) refreshModelsLater();
}

function refreshModelsLater(): void {
  clearTimeout(modelTimer);
  modelTimer = setTimeout(() => {
    if (document.hidden) refreshModelsLater();
    else if (session !== null) void api.models().then(showModels, refreshModelsLater);
  }, MODEL_REFRESH_MILLISECONDS);
}

start().catch(() => { connection.setStartFailed(); });
