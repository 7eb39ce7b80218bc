/** Entry point of the page: creates its parts and connects them. */

import { type Configuration, type Connection, DarkroomClient, HttpClient, type Model, ProblemError, type Subscribe, type TaskDocument, TaskFeed, loadConfiguration } from "@darkroom/web";

import { AccountMenu } from "./account/account_menu";
import { ApiKeysApi } from "./account/api_keys";
import { KeysDialog } from "./account/keys_dialog";
import { SignInPages } from "./account/sign_in_pages";
import { CompareDialog } from "./compare/compare_dialog";
import { connectDensity } from "./density";
import { byId, isWorkOpen } from "./dom";
import { LiveConnection } from "./live_connection";
import { removeOtherDrafts } from "./form/draft";
import { CREATED_BEFORE } from "./form/form_message";
import { ParameterForm } from "./form/parameter_form";
import { FinishedTasks } from "./notifications/finished_tasks";
import { Notifications } from "./notifications/notifications";
import { errorText, formMessages } from "./problems";
import { connectPictureDrop } from "./picture_drop";
import { ReuseMenu } from "./reuse_menu";
import { ModelButton } from "./model_picker/model_button";
import { connectShortcuts } from "./shortcuts";
import { connectTheme } from "./theme";
import { TitleBadge } from "./title_badge";
import { type Auth, type Session, authFor, followSession } from "./session";
import { ShareDialog } from "./sharing/share_dialog";
import { SharesApi } from "./sharing/shares";
import { dispatchSnapshot } from "./snapshot_event";
import { LabelDialog } from "./labels/label_dialog";
import { QueuePanel } from "./queue_panel/queue_panel";
import { liveCount } from "./queue_panel/queue_summary";
import { SearchBar } from "./search/search_bar";
import { TaskLibrary } from "./search/task_library";
import { ActionBar } from "./selection/action_bar";
import { SelectMode } from "./selection/select_mode";
import { SubmitIntent } from "./form/submit_intent";
import { createActions } from "./task_actions";
import { TaskList } from "./task_list";
import { Viewer } from "./viewer/viewer";

/** How many of the newest tasks the page follows; more while they are unfinished. */
const LIVE_COUNT = 50;
/** The API's event stream has at most 1,000, and the page requests one more than it shows. */
const MAX_LIVE_COUNT = 999;
const MAX_RETRY_MILLISECONDS = 60_000;
const MODEL_REFRESH_MILLISECONDS = 15_000;
/** The code of a request without a response, and the cause of the message about it. */
const UNREACHABLE = "unreachable";

let session: Session | null = null;
let auth: Auth | null = null;
/** The configuration for the first connection to Firestore. Later ones read it again, because it may have changed. */
let firstConfiguration: Configuration | null = null;
let followedCount = LIVE_COUNT;
let modelTimer: ReturnType<typeof setTimeout> | undefined;
/** The newest task that was accepted although no worker served its model: the form states this until one does. */
let unserved: TaskDocument | null = null;
let isStarted = false;
let startTimer: ReturnType<typeof setTimeout> | undefined;

const credentials: Connection = { token: async () => (await session?.token()) ?? null };
const api = new DarkroomClient(credentials);
const http = new HttpClient(credentials);
const intent = new SubmitIntent();
const form = new ParameterForm(submit, (body) => api.estimate(body), api, () => session?.userId ?? "");
const connection = new LiveConnection(() => {
  if (session === null) startOrRetry();
  else feed.reconnect();
});
const feed: TaskFeed = new TaskFeed(
  { openFirestore, api: api.subscribe },
  {
    onTasks: (tasks, hasMore) => {
      library.showLive(tasks, hasMore);
      queuePanel.show(tasks);
      const finished = finishedTasks.next(tasks);
      title.show(finishedTasks.unfinishedCount, finished.length > 0);
      form.estimate.setUnfinished(finishedTasks.unfinishedCount);
      if (unserved !== null && !tasks.some(({ id, status }) => id === unserved?.id && status === "queued")) form.message.settle(unserved.id);
      notifications.show(finished);
      form.setHistory(tasks.map(({ prompt }) => prompt));
      void viewer.openAddress();
      const count = liveCount(tasks, hasMore, followedCount, MAX_LIVE_COUNT);
      if (count === followedCount) return;
      followedCount = count;
      feed.start(count);
    },
    onState: (state) => {
      connection.show(state);
      if (state.kind === "live") form.message.settle(UNREACHABLE);
    },
    onDocument: dispatchSnapshot,
  },
);
const library: TaskLibrary = new TaskLibrary(
  { page: (query, token) => api.listTasks(query, token), task: (id) => api.findTask(id) },
  (view) => {
    list.show(view);
    searchBar.show(view);
    selectMode.refresh();
    viewer.refresh(view.tasks);
  },
);
const actions = createActions(api, form, library, intent, (task, index, source) => { viewer.open(task, index, source); });
const modelButton = new ModelButton(
  ({ name, example }) => {
    const task = library.loaded.find(({ model, images }) => model === name && images.length > 0);
    return [
      ...(example == null ? [] : [{ prompt: example.prompt, source: () => api.exampleSource(name) }]),
      ...(task === undefined ? [] : [{ prompt: task.prompt, source: () => api.thumbnailSource(task.id, task.images[0]?.index ?? 0) }]),
    ];
  },
  (error) => { form.message.show(errorText(error, "The models could not be shown. Reload the page."), true); },
);
const reuseMenu = new ReuseMenu((kind, task) => {
  actions.reuse(kind, task).catch((error: unknown) => { form.message.show(errorText(error), true); });
});
const title = new TitleBadge();
const finishedTasks = new FinishedTasks();
const notifications = new Notifications(byId("notify", HTMLInputElement), byId("notify-message", HTMLElement), (task) => {
  if (!isWorkOpen()) viewer.open(task, task.images[0]?.index ?? 0);
});
const shareDialog = new ShareDialog(new SharesApi(http));
const keysDialog = new KeysDialog(new ApiKeysApi(http));
const accountMenu = new AccountMenu({
  openKeys: () => { keysDialog.open(); },
  signOut: () => void auth?.signOut(),
});
const pages: SignInPages = new SignInPages(accountMenu, async () => {
  await api.models();
  showSession();
});
const labelDialog = new LabelDialog();
const compareDialog = new CompareDialog(api);
const viewer = new Viewer(
  {
    ...actions,
    share: (task, index) => { shareDialog.open(task, index); },
    compare: (picture, pictures) => { compareDialog.openFor(picture, pictures); },
    loadMore: () => void library.loadMore(),
    findTask: (id) => api.findTask(id),
    chooseLabel: (task, apply) => { labelDialog.open([task], apply); },
    useLabel: (label) => { searchBar.useLabel(label); },
  },
  () => list.pictures,
  (task, index) => { list.focusPicture(task, index); },
);
const searchBar = new SearchBar((filter) => { library.setFilter(filter); }, () => library.loaded);
const list: TaskList = new TaskList(
  { ...actions, reuse: (task, button) => { reuseMenu.open(task, button); }, useLabel: (label) => { searchBar.useLabel(label); } },
  () => void library.loadMore(),
  () => { selectMode.showCards(); },
);
const queuePanel = new QueuePanel({ ...actions, allWith: (status) => api.allTasksWith(status) });
const actionBar = new ActionBar(
  {
    ...actions,
    imageBytes: (task, index) => api.imageBytes(task.id, index),
    compare: (left, right) => { compareDialog.open(left, right); },
  },
  () => selectMode,
  labelDialog,
);
const selectMode: SelectMode = new SelectMode(() => list.tasks, (selected) => { actionBar.show(selected); });

connectDensity(byId("task-list", HTMLElement), () => { list.arrange(); });
connectTheme(byId("theme", HTMLSelectElement));
connectShortcuts({ "/": () => { form.focusField("prompt"); }, s: () => { searchBar.focus(); } });
connectPictureDrop(form);
byId("empty", HTMLElement).addEventListener("click", (event) => {
  const example = (event.target as Element).closest("[data-example]");
  if (example === null) return;
  form.fill({ prompt: example.textContent });
  form.focusField("prompt");
});

async function submit(body: string): Promise<void> {
  const answer = await intent.submit(body, (key) => api.submit(body, key)).catch(showSubmissionError);
  if (answer === undefined) return;
  const { task, served, replayed } = answer;
  list.expect(task.id);
  feed.insert(task);
  form.rememberSeed(task.seed);
  if (replayed) form.message.showQueued(CREATED_BEFORE);
  else if (served === false) {
    form.message.showQueued("Task queued. It waits because no worker serves this model now.", task.id);
    unserved = task;
    refreshModelsLater();
  } else form.message.showQueued("Task queued. It appears in the list.");
}

function showSubmissionError(error: unknown): undefined {
  const { fields, message } = formMessages(error);
  form.show(fields);
  if (message === null) return;
  const isUnreachable = error instanceof ProblemError && error.problem.code === UNREACHABLE;
  form.message.show(message, true, isUnreachable ? UNREACHABLE : null);
  if (isUnreachable) refreshModelsLater();
}

async function start(): Promise<void> {
  const configuration = await loadConfiguration();
  firstConfiguration = configuration;
  shareDialog.limitTo(configuration.max_share_days);
  auth = await authFor(configuration, async () => (await loadFirebase()).firebaseApp(configuration));
  followSession(auth, (user) => {
    session = user;
    removeOtherDrafts(user?.userId ?? null);
    intent.resume(user?.userId ?? null);
    showSession();
  });
}

function showSession(): void {
  if (auth === null) return;
  pages.show(auth, session);
  if (session === null) return;
  feed.start(followedCount);
  void loadModels();
}

/** The Firestore SDK is most of the page's size. */
function loadFirebase(): Promise<typeof import("@darkroom/web/firestore")> {
  return import("@darkroom/web/firestore");
}

async function openFirestore(): Promise<Subscribe> {
  const known = firstConfiguration;
  firstConfiguration = null;
  const [configuration, firebase] = await Promise.all([known ?? loadConfiguration(), loadFirebase()]);
  return firebase.tasksOf(configuration, session?.userId ?? "");
}

async function loadModels(retryMilliseconds = 2_000): Promise<void> {
  try {
    showModels(await api.models());
    form.message.show("");
  } catch (error) {
    if (error instanceof ProblemError && error.problem.code === "user_not_allowed") {
      feed.stop();
      pages.showNotAllowed(errorText(error));
      return;
    }
    form.message.show(errorText(error, "The list of models could not be loaded."), true);
    setTimeout(() => void loadModels(Math.min(MAX_RETRY_MILLISECONDS, retryMilliseconds * 2)), retryMilliseconds);
  }
}

function showModels(models: readonly Model[]): void {
  form.setModels(models);
  form.message.settle(UNREACHABLE);
  if (unserved !== null && models.some(({ name, served }) => name === unserved?.model && served === true)) form.message.settle(unserved.id);
  modelButton.setModels(models);
  list.setModelsShown(models.length > 1);
  searchBar.setModels(models.map(({ name }) => name));
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

function startOrRetry(retryMilliseconds = 1_000): void {
  clearTimeout(startTimer);
  if (isStarted) return;
  isStarted = true;
  start().catch(() => {
    isStarted = false;
    connection.setStartFailed();
    startTimer = setTimeout(() => { startOrRetry(Math.min(MAX_RETRY_MILLISECONDS, retryMilliseconds * 2)); }, retryMilliseconds);
  });
}

// In parallel with the configuration.
void loadFirebase().catch(() => undefined);
startOrRetry();
