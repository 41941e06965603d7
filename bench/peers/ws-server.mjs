// ws: what a message on /pub says goes to everyone on /sub. Started in the folder of its modules,
// with a port, and for TLS a certificate and its key.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { createRequire } from "node:module";

const { WebSocketServer, WebSocket } = createRequire(process.cwd() + "/")("ws");
const [port, cert, key] = process.argv.slice(2);
const listener = cert
  ? createSecureServer({ cert: readFileSync(cert), key: readFileSync(key) })
  : createServer();
const server = new WebSocketServer({ server: listener, perMessageDeflate: false });
const subscribers = new Set();

server.on("connection", (socket, request) => {
  if (request.url === "/pub") {
    socket.on("message", (data) => {
      const text = data.toString();
      for (const each of subscribers) {
        if (each.readyState === WebSocket.OPEN) each.send(text);
      }
    });
    return;
  }
  subscribers.add(socket);
  socket.on("close", () => subscribers.delete(socket));
  socket.on("error", () => subscribers.delete(socket));
});
listener.listen({ host: "127.0.0.1", port: Number(port), backlog: 4096 });
