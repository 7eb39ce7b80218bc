/** Submits a prompt, shows the progress of the task, and shows its image. */

import { DarkroomClient, type TaskDocument, TaskFeed } from "@darkroom/web";

const client = new DarkroomClient({ baseUrl: "http://127.0.0.1:8080/" });
const feed = new TaskFeed({ api: client.subscribe }, { onTasks: show, onState: ({ kind }) => { document.body.dataset.state = kind; } });
const [form, status, image] = [find("form"), find("p"), find("img")];
let taskId: string | null = null;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  generate(new FormData(form).get("prompt")).catch((error: unknown) => { status.textContent = String(error); });
});
feed.start(20);

async function generate(prompt: unknown): Promise<void> {
  const { task } = await client.submit({ prompt });
  taskId = task.id;
  image.hidden = true;
  feed.insert(task);
}

/** Called with the newest tasks after each change. */
function show(tasks: readonly TaskDocument[]): void {
  const task = tasks.find(({ id }) => id === taskId);
  if (task === undefined) return;
  status.textContent = task.failure ?? `${task.status}, ${Math.round(task.progress * 100)} %`;
  if (task.status === "completed" && image.hidden) void showImage(task);
}

async function showImage(task: TaskDocument): Promise<void> {
  image.hidden = false;
  image.alt = task.prompt;
  image.src = await client.imageSource(task.id, 0);
}

function find<Name extends keyof HTMLElementTagNameMap>(name: Name): HTMLElementTagNameMap[Name] {
  const element = document.querySelector(name);
  if (element === null) throw new Error(`The page has no <${name}>.`);
  return element;
}
