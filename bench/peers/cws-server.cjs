// @clusterws/cws: what a message on /pub says goes to everyone through the native broadcast.
// Started in the folder of its modules, with a port, and for TLS a certificate and its key.
const { readFileSync } = require("fs");
const { createServer } = require("https");
const { WebSocketServer } = require(require.resolve("@clusterws/cws", { paths: [process.cwd()] }));

const [port, cert, key] = process.argv.slice(2);
const secure = cert && createServer({ cert: readFileSync(cert), key: readFileSync(key) });
const server = new WebSocketServer(
  secure ? { server: secure } : { host: "127.0.0.1", port: Number(port) },
);

server.on("connection", (socket, request) => {
  socket.on("error", () => {});
  if (request.url === "/pub") {
    socket.on("message", (message) => server.broadcast(message));
  }
});
if (secure) secure.listen({ host: "127.0.0.1", port: Number(port), backlog: 4096 });
