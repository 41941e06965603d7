// kujata.js - a client of the native protocol (docs/rooms.md) for web pages.
//
//     const client = new Client({ url: "wss://…/connect", token });
//     client.on("PUSH", (message) => …);
//     client.start();
//     await client.join("lobby");
//     const { id, state } = await client.request("SEND", { room: "lobby", body });
//
// A connection that is lost comes back by itself, with its user and its rooms. What was sent in
// between is for the page to fetch from the history, where the node keeps one: see "ready".

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 15000;
const ANSWER_TIMEOUT_MS = 10000;

// After these the node does not want this client back: no right to, kicked, replaced by a newer.
const FINAL_CODES = new Set([4401, 4403, 4409]);

export class Refused extends Error {
  constructor({ code, message }) {
    super(message);
    this.code = code;
  }
}

export class Client {
  #url;
  #token;
  #listeners = new Map();
  #rooms = new Set();
  #waiting = new Map(); // the requests without an answer yet, by id
  #lastId = 0;
  #socket = null;
  #retryMs = RETRY_FIRST_MS;
  #retryTimer = null;
  #pulseTimer = null;
  #isWanted = false;

  constructor({ url, token = null }) {
    this.#url = url;
    this.#token = token;
    this.user = null;
    this.session = null;
  }

  // Names: the types of what the node sends unasked (PUSH, EVENT, GAP, KICK), and
  //   "ready"  connected, let in, and back in its rooms; again after every reconnect
  //   "lost"   {retryInMs}: the connection broke, and is tried again then
  //   "ended"  {code, reason}: it will not come back
  on(name, listener) {
    const list = this.#listeners.get(name) ?? [];
    list.push(listener);
    this.#listeners.set(name, list);
    return this;
  }

  start() {
    this.#isWanted = true;
    this.#connect();
  }

  stop() {
    this.#isWanted = false;
    clearTimeout(this.#retryTimer);
    this.#socket?.close(1000);
  }

  // The answer's data; rejects with Refused, or with an Error when the connection went.
  request(type, data) {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) {
      return Promise.reject(new Error("not connected"));
    }
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new Error("no answer in time"));
      }, ANSWER_TIMEOUT_MS);
      this.#waiting.set(id, { resolve, reject, timer });
      socket.send(JSON.stringify({ type, id, data }));
    });
  }

  // In the room from now on, also after a reconnect.
  async join(room) {
    const answer = await this.request("JOIN", { room });
    this.#rooms.add(room);
    return answer;
  }

  async leave(room) {
    this.#rooms.delete(room);
    return this.request("LEAVE", { room });
  }

  #emit(name, value) {
    for (const listener of this.#listeners.get(name) ?? []) {
      listener(value);
    }
  }

  #connect() {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.onmessage = (event) => {
      if (socket === this.#socket) {
        this.#take(JSON.parse(event.data));
      }
    };
    socket.onclose = (event) => {
      if (socket === this.#socket) {
        this.#lose(event);
      }
    };
  }

  #take(message) {
    const waiting = this.#waiting.get(message.id);
    if (waiting) {
      this.#waiting.delete(message.id);
      clearTimeout(waiting.timer);
      if (message.type === "ERROR") {
        waiting.reject(new Refused(message.data));
      } else {
        waiting.resolve(message.data);
      }
    } else if (message.type === "WELCOME") {
      this.#enter(message.data);
    } else {
      this.#emit(message.type, message);
    }
  }

  // Says who it is and goes back to its rooms.
  async #enter(welcome) {
    const socket = this.#socket;
    this.session = welcome.session;
    this.user = welcome.user ?? null;
    this.#beat(welcome.idle_ms / 2);
    try {
      if (this.#token && !this.user) {
        this.user = (await this.request("AUTH", { token: this.#token })).user ?? null;
      }
      await Promise.all([...this.#rooms].map((room) => this.#rejoin(room)));
    } catch (error) {
      if (error.code !== "unauthorized") {
        socket.close(); // and again
      }
      return; // a token that is not good is followed by the close
    }
    if (socket !== this.#socket) {
      return;
    }
    this.#retryMs = RETRY_FIRST_MS;
    this.#emit("ready");
  }

  // A room that it may not be in any more is left; the page is told by its next request.
  async #rejoin(room) {
    try {
      await this.request("JOIN", { room });
    } catch (error) {
      if (!["forbidden", "limit", "bad_request"].includes(error.code)) {
        throw error;
      }
      this.#rooms.delete(room);
    }
  }

  // A connection whose other end is gone looks like one that is silent: a PING without an answer
  // tells them apart.
  #beat(intervalMs) {
    clearInterval(this.#pulseTimer);
    const socket = this.#socket;
    this.#pulseTimer = setInterval(() => {
      this.request("PING").catch(() => socket.close());
    }, intervalMs);
  }

  #lose({ code, reason }) {
    clearInterval(this.#pulseTimer);
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new Error("the connection went"));
    }
    this.#waiting.clear();
    if (!this.#isWanted || FINAL_CODES.has(code)) {
      this.#isWanted = false;
      this.#emit("ended", { code, reason });
      return;
    }
    // Not all at once when a node comes back.
    const retryInMs = this.#retryMs * (0.5 + Math.random() / 2);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
    this.#retryTimer = setTimeout(() => this.#connect(), retryInMs);
    this.#emit("lost", { retryInMs });
  }
}

// The node this page came from.
export function ownUrl(path) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${location.host}${path}`;
}
