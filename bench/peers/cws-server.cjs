// @clusterws/cws: what a message on /pub says goes to everyone through the native broadcast.
// Started in the folder of its modules.
const { WebSocketServer } = require(require.resolve("@clusterws/cws", { paths: [process.cwd()] }));

const server = new WebSocketServer({ host: "127.0.0.1", port: Number(process.argv[2]) });

server.on("connection", (socket, request) => {
  socket.on("error", () => {});
  if (request.url === "/pub") {
    socket.on("message", (message) => server.broadcast(message));
  }
});
