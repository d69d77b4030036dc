// A loopback server for tests of clients: every connection gets a thread that runs a script of raw
// bytes.
//
//   ScriptedServer server([](ScriptedServer::Peer& peer) {
//     while (!peer.read_request().empty()) peer.send("HTTP/1.1 200 OK\r\nContent-Length:
//     0\r\n\r\n");
//   });
//
// A script ends its connection by returning; blocking calls return at once when the server is
// destroyed.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace sis::net {

class ScriptedServer {
 public:
  class Peer {
   public:
    // The next whole request (head and Content-Length body); empty when the client closed.
    std::string read_request();
    bool send(std::string_view bytes);
    // One byte or `piece` bytes at a time, each in its own packet.
    void send_slowly(std::string_view bytes, size_t piece, std::chrono::microseconds gap);
    // Returns early when the server stops.
    void wait(std::chrono::milliseconds time);
    void wait_for_close();
    void reset();                   // RST instead of FIN
    int fd() const { return fd_; }  // for scripts that speak TLS
    int number = 0;                 // of the connection, from 0

   private:
    friend class ScriptedServer;
    ScriptedServer* server_ = nullptr;
    int fd_ = -1;
    std::string buffer_;
  };

  explicit ScriptedServer(std::function<void(Peer&)> script);
  ~ScriptedServer();
  ScriptedServer(const ScriptedServer&) = delete;

  uint16_t port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  int connections() const { return connections_; }
  int requests() const { return requests_; }
  void stop_listening();  // further connects are refused

 private:
  void accept_all();

  std::function<void(Peer&)> script_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stop_{false}, refuse_{false};
  std::atomic<int> connections_{0}, requests_{0};
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

// "HTTP/1.1 200 OK" with Content-Length and this body.
std::string plain_answer(std::string_view body, int status = 200);

}  // namespace sis::net
