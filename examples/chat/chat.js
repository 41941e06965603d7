// chat.js - a chat over the native protocol: rooms, members, private messages, history.
//
// What the node keeps is the truth: messages come from pushes and from the history, are told apart
// by their ids, and stand in the order of those. The page itself remembers which conversations
// there are and how far each was read.

import { Client, Refused, ownUrl } from "./kujata.js";

const PAGE = 30; // messages fetched at once

const $ = (selector) => document.querySelector(selector);

// ---- the account ----

async function call(path, body, token) {
  const answer = await fetch(path, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      ...(token && { Authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
  });
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    throw new Error(data.error ?? `the node answered ${answer.status}`);
  }
  return data;
}

const account = {
  name: sessionStorage.getItem("name"),
  token: sessionStorage.getItem("token"),

  async enter(action, name, password) {
    // As the account is written, which may be otherwise than here.
    const given = await call(`/v1/accounts/${action}`, { name, password });
    sessionStorage.setItem("name", (this.name = given.name));
    sessionStorage.setItem("token", (this.token = given.token));
  },

  leave() {
    const { token } = this;
    this.forget();
    return call("/v1/accounts/logout", {}, token);
  },

  forget() {
    this.name = this.token = null;
    sessionStorage.clear();
  },
};

// ---- conversations ----

// With a room or a user; its messages stand in the order of their ids.
class Conversation {
  constructor(kind, name, lastRead = "") {
    this.kind = kind; // "room" or "user"
    this.name = name;
    this.messages = [];
    this.members = [];
    this.memberCount = 0;
    this.lastRead = lastRead;
    this.hasAll = false; // nothing older is in the history
    this.seen = null; // the last one before some may be missing; null: none is
    this.draft = ""; // what was being written here when another one was opened
  }

  get key() {
    return `${this.kind}:${this.name}`;
  }

  get unread() {
    return this.messages.filter((m) => m.id > this.lastRead && m.from !== account.name).length;
  }

  // From here on messages may have passed by.
  mark() {
    this.seen ??= this.messages.at(-1)?.id ?? null;
  }

  add(message) {
    let at = this.messages.length;
    while (at > 0 && this.messages[at - 1].id > message.id) {
      at--;
    }
    if (this.messages[at - 1]?.id !== message.id) {
      this.messages.splice(at, 0, message);
    }
  }
}

const conversations = new Map();
let current = null;
let client = null;

function storageKey() {
  return `conversations of ${account.name}`;
}

function remember() {
  const list = [...conversations.values()].map(({ kind, name, lastRead }) => [kind, name, lastRead]);
  localStorage.setItem(storageKey(), JSON.stringify(list));
}

function recall() {
  conversations.clear();
  for (const [kind, name, lastRead] of JSON.parse(localStorage.getItem(storageKey()) ?? "[]")) {
    const conversation = new Conversation(kind, name, lastRead);
    conversations.set(conversation.key, conversation);
  }
}

function conversationWith(kind, name) {
  const key = `${kind}:${name}`;
  if (!conversations.has(key)) {
    conversations.set(key, new Conversation(kind, name));
    remember();
  }
  return conversations.get(key);
}

// ---- what comes ----

function takeItem(conversation, item) {
  conversation.add({
    id: item.id,
    from: item.from ?? "somebody",
    at: new Date(item.ts),
    text: String(item.body?.text ?? ""),
  });
}

function takePush({ topic, data }) {
  const [, kind, name] = /^(room|user)\.(.*)$/s.exec(topic) ?? [];
  if (!kind) {
    return;
  }
  for (const item of data.items) {
    takeItem(conversationWith(kind, kind === "room" ? name : (item.from ?? "somebody")), item);
  }
  if (kind === "user") {
    // What is kept for this user may be forgotten: the history has it too.
    client.request("ACK", { ids: data.items.map((item) => item.id) }).catch(() => {});
  }
  show();
}

function takeEvent({ data }) {
  if (data.kind === "delivered") {
    takeReceipt(data);
    return;
  }
  const conversation = conversations.get(`room:${data.room}`);
  if (conversation) {
    loadMembers(conversation).catch(note);
  }
}

function takeReceipt({ user, ids }) {
  const acknowledged = new Set(ids);
  for (const message of conversations.get(`user:${user}`)?.messages ?? []) {
    if (acknowledged.has(message.id)) {
      message.state = "delivered";
    }
  }
  show();
}

async function loadMembers(conversation) {
  const { count, members } = await client.request("QUERY", {
    what: "room",
    room: conversation.name,
    max: 100,
  });
  conversation.memberCount = count;
  conversation.members = [...new Set(members.map((member) => member.user ?? member.session))].sort();
  show();
}

// A page of what is older than all there is, or whatever is newer than one of them.
async function loadHistory(conversation, { after } = {}) {
  const place = after ? { after } : { before: conversation.messages[0]?.id };
  const { items } = await client.request("QUERY", {
    what: "history",
    [conversation.kind]: conversation.name,
    ...place,
    max: PAGE,
  });
  for (const item of items) {
    takeItem(conversation, item);
  }
  if (!after && items.length < PAGE) {
    conversation.hasAll = true;
  }
  if (after && items.length === PAGE) {
    const last = items.reduce((most, { id }) => (id > most ? id : most), after);
    await loadHistory(conversation, { after: last });
  }
  show();
}

function markAll() {
  for (const conversation of conversations.values()) {
    conversation.mark();
  }
}

// After every (re)connect and every gap: what came meanwhile. New messages may be there already, so
// it is from where they were marked.
async function catchUp() {
  const own = client;
  for (const conversation of conversations.values()) {
    if (own !== client) {
      return; // somebody else has come in
    }
    const { seen } = conversation;
    conversation.seen = null; // it may be marked again meanwhile
    try {
      if (conversation.kind === "room") {
        await client.join(conversation.name);
        await loadMembers(conversation);
      }
      await loadHistory(conversation, { after: seen });
    } catch (error) {
      conversation.seen = seen ?? conversation.seen;
      note(error);
    }
  }
}

// ---- what is done ----

async function send(conversation, text) {
  const body = { text };
  const at = new Date();
  const { id, state } = await client.request("SEND", { [conversation.kind]: conversation.name, body });
  if (conversation.kind === "user") {
    conversation.add({ id, from: account.name, at, text, state });
    show();
  }
}

async function joinRoom(name) {
  await client.join(name);
  const conversation = conversationWith("room", name);
  open(conversation);
  await Promise.all([loadMembers(conversation), loadHistory(conversation)]);
}

async function leave(conversation) {
  if (conversation.kind === "room") {
    await client.leave(conversation.name);
  }
  conversations.delete(conversation.key);
  remember();
  open(null);
}

function open(conversation) {
  const input = $("#compose [name=text]");
  if (current) {
    current.draft = input.value;
  }
  current = conversation;
  input.value = current?.draft ?? "";
  clearNotes();
  show();
  $("#log").scrollTop = $("#log").scrollHeight;
  input.focus();
}

// What is written meanwhile stays, and what could not be sent comes back.
async function compose(form) {
  const conversation = current;
  const input = form.elements.text;
  const text = input.value;
  input.value = "";
  try {
    await send(conversation, text);
  } catch (error) {
    note(error);
    if (conversation !== current) {
      conversation.draft ||= text;
    } else {
      input.value ||= text;
    }
  }
}

// ---- the page ----

function element(name, { text, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...(text === undefined ? children : [text]));
  return made;
}

function note(error) {
  const text = error instanceof Refused ? `${error.message} (${error.code})` : error.message;
  $(current ? "#note" : "#nothing .fault").textContent = text;
}

function clearNotes() {
  $("#note").textContent = $("#nothing .fault").textContent = "";
}

function listEntry(conversation) {
  const button = element("button", { text: conversation.name, type: "button" });
  button.setAttribute("aria-current", conversation === current);
  button.onclick = () => {
    open(conversation);
    if (!conversation.hasAll && conversation.messages.length < PAGE) {
      loadHistory(conversation).catch(note);
    }
  };
  if (conversation.unread > 0) {
    button.append(element("span", { className: "unread", text: String(conversation.unread) }));
  }
  return element("li", {}, button);
}

function logEntry(message) {
  const entry = element("li", { className: message.from === account.name ? "own" : "" });
  entry.append(
    element("span", { className: "who", text: message.from }),
    element("span", { className: "text", text: message.text }),
    " ",
    element("time", { text: message.at.toLocaleTimeString([], { timeStyle: "short" }) }),
  );
  if (message.state) {
    entry.append(element("span", { className: "state", text: message.state }));
  }
  return entry;
}

function showConversation() {
  const log = $("#log");
  const wasAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const { kind, name, messages, members, memberCount } = current;
  if (messages.length > 0 && document.visibilityState === "visible") {
    current.lastRead = messages.at(-1).id;
    remember();
  }
  $("#title").textContent = name;
  $("#count").textContent = kind === "room" ? `${memberCount} here` : "private";
  $("#side").hidden = kind !== "room";
  $("#members").replaceChildren(...members.map((text) => element("li", { text })));
  log.replaceChildren(...messages.map(logEntry));
  if (wasAtEnd) {
    log.scrollTop = log.scrollHeight;
  }
}

function show() {
  $("#conversation").hidden = !current;
  $("#nothing").hidden = Boolean(current);
  if (current) {
    showConversation();
  }
  const all = [...conversations.values()];
  $("#rooms").replaceChildren(...all.filter((c) => c.kind === "room").map(listEntry));
  $("#people").replaceChildren(...all.filter((c) => c.kind === "user").map(listEntry));
  const unread = all.reduce((sum, conversation) => sum + conversation.unread, 0);
  document.title = unread ? `(${unread}) Chat` : "Chat";
}

function setState(text) {
  $("#state").textContent = text;
}

function enter() {
  $("#door").hidden = true;
  $("#chat").hidden = false;
  $("#me").textContent = account.name;
  recall();
  const own = new Client({ url: ownUrl("/connect"), token: account.token });
  // What a client has still to say once its user has left is not for who comes next.
  const on = (name, act) => own.on(name, (value) => own === client && act(value));
  on("PUSH", takePush);
  on("EVENT", takeEvent);
  on("GAP", () => {
    markAll();
    catchUp();
  });
  on("ready", () => {
    setState("online");
    clearNotes();
    catchUp();
  });
  on("lost", () => {
    markAll();
    setState("reconnecting…");
  });
  on("ended", ({ reason }) => exit(reason || "The node closed the connection."));
  client = own;
  setState("connecting…");
  client.start();
  show();
}

function exit(reason = "") {
  client?.stop();
  client = null;
  account.forget();
  current = null;
  $("#compose").reset();
  $("#chat").hidden = true;
  $("#door").hidden = false;
  $("#login .fault").textContent = reason;
}

// A form whose fault is shown where it says, and which is emptied when all went well.
function onSubmit(selector, act, showFault = note) {
  $(selector).addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target;
    try {
      await act(Object.fromEntries(new FormData(form)), event.submitter?.value);
      form.reset();
    } catch (error) {
      showFault(error);
    }
  });
}

onSubmit(
  "#login",
  async ({ name, password }, action) => {
    await account.enter(action, name, password);
    enter();
  },
  (error) => ($("#login .fault").textContent = error.message),
);
onSubmit("#join", ({ room }) => joinRoom(room));
onSubmit("#talk", async ({ user }) => {
  const conversation = conversationWith("user", user);
  open(conversation);
  await loadHistory(conversation);
});
$("#compose").addEventListener("submit", (event) => {
  event.preventDefault();
  compose(event.target);
});

$("#leave").onclick = () => leave(current).catch(note);
$("#logout").onclick = () => {
  account.leave().catch(() => {}); // the token ends by itself
  exit();
};
$("#log").onscroll = () => {
  const log = $("#log");
  if (log.scrollTop === 0 && current && !current.hasAll && current.messages.length > 0) {
    const before = log.scrollHeight;
    loadHistory(current)
      .then(() => (log.scrollTop = log.scrollHeight - before))
      .catch(note);
  }
};
document.addEventListener("visibilitychange", show);

if (account.token) {
  enter();
}
