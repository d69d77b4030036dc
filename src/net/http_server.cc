#include "net/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <future>
#include <thread>

#include "base/strings.h"
#include "net/io_loop.h"
#include "net/tls.h"

namespace sis::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr int kBacklog = 4096;
constexpr int kAcceptBatch = 64;
// Out of descriptors: those in use must come back first, trying harder only burns time.
constexpr auto kAcceptBackoff = std::chrono::milliseconds(50);

std::string peer_address(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
      inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text, sizeof text);
    else
      inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
  } else {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, text, sizeof text);
  }
  return text;
}

class AsioHttpServer final : public HttpServer {
 public:
  AsioHttpServer(std::shared_ptr<const ServerOptions> options, Handler handler,
                 std::unique_ptr<TlsContext> tls)
      : options_(std::move(options)),
        bodies_(std::make_shared<BodyBudget>(options_->bodies_bytes_max)),
        handler_(std::move(handler)),
        tls_(std::move(tls)) {
    for (int i = 0; i < options_->io_threads; ++i)
      loops_.push_back(std::make_unique<IoLoop>(options_, bodies_, &handler_, tls_.get(), i));
    acceptor_.emplace(loops_[0]->io());
    backoff_.emplace(loops_[0]->io());
  }
  ~AsioHttpServer() override { stop(); }

  Status listen();
  void start() override;
  uint16_t port() const override { return port_; }
  ServerStats stats() const override;
  bool drain(Duration budget) override;
  void stop() override;

 private:
  asio::awaitable<void> accept();
  bool accept_one();
  // Runs `call` on the loop's thread and waits for it.
  void run_on(IoLoop& loop, std::function<void()> call);
  int64_t connections_open() const {
    int64_t sum = 0;
    for (const auto& loop : loops_) sum += loop->connections_open();
    return sum;
  }

  std::shared_ptr<const ServerOptions> options_;
  const std::shared_ptr<BodyBudget> bodies_;  // shared with requests that outlive the server
  const Handler handler_;
  std::unique_ptr<TlsContext> tls_;
  std::vector<std::unique_ptr<IoLoop>> loops_;
  std::optional<tcp::acceptor> acceptor_;  // on the first loop
  std::optional<asio::steady_timer> backoff_;
  uint16_t port_ = 0;
  size_t next_loop_ = 0;
  bool started_ = false, stopped_ = false;
};

Status AsioHttpServer::listen() {
  const auto failed = [&](std::string_view step, const boost::system::error_code& error) {
    return Error{Code::kUnavailable, concat("cannot ", step, " ", options_->address, " port ",
                                            options_->port, ": ", error.message())};
  };
  boost::system::error_code error;
  const auto address = asio::ip::make_address(
      options_->address == "localhost" ? "127.0.0.1" : options_->address, error);
  if (error)
    return Error{Code::kInvalidArgument,
                 concat("listen address: want an IP address, found ", in_quotes(options_->address),
                        " (port ", options_->port, ")")};
  const tcp::endpoint endpoint(address, options_->port);
  acceptor_->open(endpoint.protocol(), error);
  if (error) return failed("open a socket for", error);
  acceptor_->set_option(asio::socket_base::reuse_address(true), error);
  if (address.is_v6() && address.is_unspecified())
    acceptor_->set_option(asio::ip::v6_only(false), error);
  acceptor_->bind(endpoint, error);
  if (error) return failed("bind", error);
  acceptor_->listen(kBacklog, error);
  if (error) return failed("listen on", error);
  acceptor_->non_blocking(true, error);
  if (error) return failed("listen on", error);
  port_ = acceptor_->local_endpoint(error).port();
  return {};
}

void AsioHttpServer::start() {
  if (started_) return;
  started_ = true;
  asio::co_spawn(loops_[0]->io(), accept(), asio::detached);
  for (const auto& loop : loops_) loop->start();
}

asio::awaitable<void> AsioHttpServer::accept() {
  constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
  while (acceptor_->is_open()) {
    const auto [error] = co_await acceptor_->async_wait(tcp::acceptor::wait_read, kAwait);
    if (error) break;
    int batch = 0;
    while (batch < kAcceptBatch && acceptor_->is_open() && accept_one()) ++batch;
    if (batch == 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
      backoff_->expires_after(kAcceptBackoff);
      co_await backoff_->async_wait(kAwait);
    }
  }
}

bool AsioHttpServer::accept_one() {
  sockaddr_storage address{};
  socklen_t address_bytes = sizeof address;
  const int socket = ::accept4(acceptor_->native_handle(), reinterpret_cast<sockaddr*>(&address),
                               &address_bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
  // A client that left before we came (ECONNABORTED) ends a batch early; the next wait goes on.
  if (socket < 0) return false;
  // Connections handed over but not yet counted make the limit soft by a batch.
  const bool turn_away = connections_open() >= options_->connections_max;
  IoLoop& loop = *loops_[next_loop_++ % loops_.size()];
  auto peer = peer_address(address);
  if (&loop == loops_[0].get())
    loop.adopt(socket, std::move(peer), turn_away);
  else
    loop.post([&loop, socket, peer = std::move(peer), turn_away] {
      loop.adopt(socket, peer, turn_away);
    });
  return true;
}

ServerStats AsioHttpServer::stats() const {
  ServerStats stats{.connections_open = connections_open(),
                    .bodies_bytes = static_cast<int64_t>(bodies_->bytes_held())};
  for (const auto& loop : loops_) {
    stats.requests += loop->context().requests.load(std::memory_order_relaxed);
    stats.protocol_errors += loop->context().protocol_errors.load(std::memory_order_relaxed);
  }
  return stats;
}

void AsioHttpServer::run_on(IoLoop& loop, std::function<void()> call) {
  std::promise<void> done;
  loop.post([&] {
    call();
    done.set_value();
  });
  done.get_future().wait();
}

bool AsioHttpServer::drain(Duration budget) {
  const auto until = std::chrono::steady_clock::now() + budget;
  if (!started_ || stopped_) return true;
  run_on(*loops_[0], [this] {
    boost::system::error_code ignored;
    acceptor_->close(ignored);
  });
  for (const auto& loop : loops_) run_on(*loop, [&loop] { loop->begin_drain(); });
  for (;;) {
    int64_t active = 0;
    for (const auto& loop : loops_) active += loop->active();
    if (active == 0) return true;
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void AsioHttpServer::stop() {
  if (stopped_) return;
  stopped_ = true;
  if (started_)
    run_on(*loops_[0], [this] {
      boost::system::error_code ignored;
      acceptor_->close(ignored);
      backoff_->cancel();
    });
  // The first loop may still hand sockets to the others: it ends first.
  for (const auto& loop : loops_) loop->stop_and_join();
}

Status check_options(const ServerOptions& options) {
  if (options.io_threads < 1 || options.io_threads > 256)
    return Error{Code::kInvalidArgument,
                 concat("io_threads: want 1..256, found ", options.io_threads)};
  if (options.header_bytes_max < 128)
    return Error{Code::kInvalidArgument,
                 concat("header_bytes_max: want at least 128, found ", options.header_bytes_max)};
  if (options.connections_max < 1)
    return Error{Code::kInvalidArgument,
                 concat("connections_max: want at least 1, found ", options.connections_max)};
  if (options.tls_certificate_file.empty() != options.tls_key_file.empty())
    return Error{Code::kInvalidArgument,
                 concat("TLS: want a certificate file and a key file, found only the ",
                        options.tls_key_file.empty() ? "certificate " : "key ",
                        in_quotes(options.tls_key_file + options.tls_certificate_file))};
  return {};
}

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::create(ServerOptions options, Handler handler) {
  SIS_TRY(check_options(options));
  std::unique_ptr<TlsContext> tls;
  if (!options.tls_certificate_file.empty()) {
    SIS_ASSIGN(tls, TlsContext::create(options.tls_certificate_file, options.tls_key_file));
  }
  auto server =
      std::make_unique<AsioHttpServer>(std::make_shared<const ServerOptions>(std::move(options)),
                                       std::move(handler), std::move(tls));
  SIS_TRY(server->listen());
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace sis::net
