/** What the page asks before it changes the selected tasks. Pure. */

import type { TaskDocument } from "@darkroom/web";

import { counted } from "../bulk/bulk";
import type { Question } from "../bulk/confirm";
import { isUnfinished } from "../queue_panel/queue_summary";

export function deleteQuestion(tasks: readonly TaskDocument[]): Question {
  const images = tasks.flatMap((task) => task.images).length;
  const unfinished = tasks.filter(isUnfinished).length;
  return {
    title: `Delete ${counted(tasks.length, "task")} permanently?`,
    texts: [
      `${images === 0 ? "No image" : counted(images, "image")} ${images > 1 ? "are" : "is"} deleted with them. This cannot be undone.`,
      ...(unfinished === 0 ? [] : [`${counted(unfinished, "unfinished task")} ${unfinished === 1 ? "is" : "are"} cancelled first.`]),
    ],
    action: `Delete ${counted(tasks.length, "task")}`,
  };
}

export function cancelQuestion(unfinished: readonly TaskDocument[]): Question {
  return {
    title: `Cancel ${counted(unfinished.length, "task")}?`,
    texts: ["Finished images are kept."],
    action: `Cancel ${counted(unfinished.length, "task")}`,
    otherwise: "Keep running",
  };
}
