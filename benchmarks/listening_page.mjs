/**
 * A page without a browser, in a thread of its own: it follows its tasks as darkroom's page does.
 *
 * `listening_pages.mjs` bundles it with the packages' builds for browsers, so it reads Firestore by web channels.
 */

import { parentPort, workerData } from "node:worker_threads";

import { DarkroomClient, TaskFeed, loadConfiguration } from "@darkroom/web";
import { tasksOf } from "@darkroom/web/firestore";

const client = new DarkroomClient({ baseUrl: workerData.address });
const feed = new TaskFeed(
  {
    api: client.subscribe,
    openFirestore: async () => {
      const configuration = await loadConfiguration(workerData.address);
      return tasksOf(configuration, configuration.user_id);
    },
  },
  {
    onTasks() {},
    onState(state) { parentPort.postMessage({ isLive: state.kind === "live" && state.source === "firestore" }); },
    onDocument(_, { id, status, updatedAt }, receivedAt) {
      parentPort.postMessage({ change: { taskId: id, status, updatedAt, receivedAt } });
    },
  },
);
feed.start(50);
