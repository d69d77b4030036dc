// Raw bytes to one connection's protocol: the first bytes choose how the input is cut and how it is
// answered.
//
// Held against: no crash, output that never contains an answer nobody gave, and every exchange
// ended.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "net/compression.h"
#include "net/direct_sink.h"
#include "net/http_session.h"
#include "net/http_text.h"

namespace sis::net {
namespace {

void want(bool condition) {
  if (!condition) std::abort();
}

void run_session(uint8_t cut, uint8_t manner, std::string_view input) {
  ServerOptions options;
  options.header_bytes_max = 4096;
  options.body_bytes_max = 1 << 16;
  options.stream_buffer_bytes = 1 << 12;
  options.compress_bytes_min = 16;
  auto sink = std::make_shared<testing::DirectSink>(std::make_shared<const ServerOptions>(options));
  std::vector<std::shared_ptr<Exchange>> kept;
  const Handler handler = [&](std::shared_ptr<Exchange> exchange) {
    const auto& request = exchange->request();
    want(!request.method.empty() && !request.path.empty() && is_echoable_id(request.request_id));
    want(request.body.size() <= options.body_bytes_max);
    want(request.body.capacity() >= request.body.size() + 64);
    switch (manner & 3) {
      case 0:
        exchange->respond({.body = request.body});
        break;
      case 1:
        kept.push_back(std::move(exchange));
        break;
      case 2:
        exchange->start_stream({});
        exchange->write(request.body);
        exchange->write("tail");
        exchange->finish_stream();
        break;
      default:
        break;  // dropped
    }
  };
  SessionContext context(sink, &handler, 1);
  HttpSession session(context, 1, "127.0.0.1", sink->now);
  sink->session = &session;
  const auto drain = [&] {
    while (!session.out().empty()) session.out().consume(session.out().bytes());
    session.output_waits(0);
  };
  const size_t piece = cut == 0 ? input.size() + 1 : cut;
  while (!input.empty() && session.wants_input() && !session.broken()) {
    const auto space = session.input_space();
    want(!space.empty() && space.size() <= 1 << 20);
    const size_t bytes = std::min({piece, space.size(), input.size()});
    std::copy_n(input.data(), bytes, space.data());
    session.input_filled(bytes);
    input.remove_prefix(bytes);
    session.pump(sink->now);
    if (manner & 4) drain();
    if (kept.size() > 3 || (manner & 8)) {
      for (size_t i = kept.size(); i > 0; --i) kept[i - 1]->respond({.body = "late"});
      kept.clear();
    }
    while (session.may_resume()) session.pump(sink->now);
  }
  if (manner & 16)
    session.expire(session.deadline());
  else if (!session.closing())
    session.input_ended(sink->now);
  if (manner & 32) drain();
  sink->session = nullptr;
  session.cancel_all();
}

}  // namespace
}  // namespace sis::net

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sis::net;
  if (size < 3) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 3, size - 3);
  switch (data[0] % 4) {
    case 0: {
      std::string out;
      const auto decoder = Decompressor::create(static_cast<Coding>(data[1] % 5), 1 << 16);
      const size_t middle = input.size() * data[2] / 255;
      if (decoder->feed(input.substr(0, middle), out) && decoder->feed(input.substr(middle), out))
        (void)decoder->finish();
      want(out.size() <= (1 << 16) + 1);
      break;
    }
    case 1:
      (void)percent_decode(input);
      (void)choose_coding(input);
      (void)list_has_token(input, "close");
      break;
    default:
      run_session(data[1], data[2], input);
  }
  return 0;
}
