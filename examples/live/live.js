// live.js - comments that fly over a stage, as they come: many at once, in batches.

import { Client, ownUrl } from "./kujata.js";

const ROOM = "live";
const LANE_PX = 34;
const SHOWN_MAX = 200; // comments on the stage at a time; more would only be in each other's way
const COUNT_EVERY_MS = 5000;

const $ = (selector) => document.querySelector(selector);
const stage = $("#stage");
const totals = { shown: 0, batches: 0, missed: 0 };

// A lane is taken by whoever has waited longest for it.
const lanes = [];

function freestLane() {
  const count = Math.max(1, Math.floor(stage.clientHeight / LANE_PX));
  while (lanes.length < count) {
    lanes.push(0);
  }
  const lane = lanes.slice(0, count).reduce((best, at, i) => (at < lanes[best] ? i : best), 0);
  lanes[lane] = performance.now();
  return lane;
}

function fly(text, isOwn) {
  if (stage.childElementCount >= SHOWN_MAX) {
    stage.firstElementChild.remove();
  }
  const comment = document.createElement("span");
  comment.className = isOwn ? "comment own" : "comment";
  comment.textContent = text;
  comment.style.top = `${freestLane() * LANE_PX}px`;
  comment.addEventListener("animationend", () => comment.remove());
  stage.append(comment);
}

function showTotals() {
  for (const [name, value] of Object.entries(totals)) {
    $(`#${name}`).textContent = value;
  }
}

const client = new Client({ url: ownUrl("/connect") })
  .on("PUSH", ({ data }) => {
    totals.batches++;
    for (const item of data.items) {
      totals.shown++;
      fly(String(item.body?.text ?? ""), item.session === client.session);
    }
    showTotals();
  })
  .on("GAP", ({ data }) => {
    totals.missed += data.missed;
    showTotals();
  })
  .on("ready", async () => {
    try {
      await client.join(ROOM);
      $("#state").textContent = "live";
      count();
    } catch (error) {
      $("#state").textContent = error.message;
    }
  })
  .on("lost", () => ($("#state").textContent = "reconnecting…"))
  .on("ended", ({ reason }) => ($("#state").textContent = reason || "ended"));

async function count() {
  try {
    const answer = await client.request("QUERY", { what: "room", room: ROOM, max: 0 });
    $("#viewers").textContent = answer.count;
  } catch {
    // Not connected: the next one is.
  }
}

setInterval(count, COUNT_EVERY_MS);

$("#comment").addEventListener("submit", async (event) => {
  event.preventDefault();
  const input = event.target.elements.text;
  const text = input.value;
  input.value = "";
  try {
    await client.request("SEND", { room: ROOM, body: { text } });
    $("#state").textContent = "live";
  } catch (error) {
    $("#state").textContent = error.message;
    input.value ||= text; // to be sent again
  }
});

client.start();
