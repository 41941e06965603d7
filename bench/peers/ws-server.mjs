// ws: what a message on /pub says goes to everyone on /sub. Started in the folder of its modules.
import { createRequire } from "node:module";

const { WebSocketServer, WebSocket } = createRequire(process.cwd() + "/")("ws");
const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  backlog: 4096,
  perMessageDeflate: false,
});
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
