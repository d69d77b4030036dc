#include "perf/triton/arguments.h"

#include "base/strings.h"

namespace sis::perf {
namespace {

struct ShortFlag {
  char letter;
  const char* name;
  bool takes_value;
};
constexpr ShortFlag kShort[] = {
    {'m', "model", true},
    {'x', "model-version", true},
    {'u', "url", true},
    {'i', "protocol", true},
    {'b', "batch-size", true},
    {'p', "measurement-interval", true},
    {'l', "latency-threshold", true},
    {'r', "max-trials", true},
    {'s', "stability-percentage", true},
    {'f', "csv", true},
    {'H', "header", true},
    {'t', "concurrency-range", true},
    {'a', "async", false},
    {'z', "zero", false},
    {'v', "verbose", false},
    {'h', "help", false},
};

struct Refused {
  std::string_view name;
  const char* why;
};
constexpr const char* kGrpc = "gRPC is not spoken here; HTTP is";
constexpr const char* kSequences =
    "models of sequences are not driven here: their requests have an order";
constexpr const char* kOtherService =
    "want --service-kind triton or openai; this flag is for another service";
constexpr const char* kTrace = "settings of the server are left alone";
constexpr Refused kRefused[] = {
    {"streaming",
     "wants gRPC, which is not spoken here; with --service-kind openai a payload with "
     "\"stream\": true is streamed"},
    {"grpc-compression-algorithm", kGrpc},
    {"grpc-method", kGrpc},
    {"ssl-grpc-use-ssl", kGrpc},
    {"ssl-grpc-root-certifications-file", kGrpc},
    {"ssl-grpc-private-key-file", kGrpc},
    {"ssl-grpc-certificate-chain-file", kGrpc},
    {"periodic-concurrency-range", "wants gRPC streaming, which is not spoken here"},
    {"request-period", "wants gRPC streaming, which is not spoken here"},
    {"output-shared-memory-size", "shared memory is not used here: tensors travel over HTTP"},
    {"num-of-sequences", kSequences},
    {"sequence-length", kSequences},
    {"sequence-length-variation", kSequences},
    {"sequence-id-range", kSequences},
    {"serial-sequences", kSequences},
    {"session-concurrency", "sessions of several turns are not driven here; see sis bench chat"},
    {"fixed-schedule", "want --request-intervals for a given schedule"},
    {"model-signature-name", kOtherService},
    {"triton-server-directory", kOtherService},
    {"model-repository", kOtherService},
    {"enable-mpi", "several models at once are for sis bench run"},
    {"trace-level", kTrace},
    {"trace-rate", kTrace},
    {"trace-count", kTrace},
    {"log-frequency", kTrace},
    {"ssl-https-ca-certificates-file", "certificates are checked against the system's own"},
    {"ssl-https-client-certificate-file", "client certificates are not sent"},
    {"ssl-https-client-certificate-type", "client certificates are not sent"},
    {"ssl-https-private-key-file", "client certificates are not sent"},
    {"ssl-https-private-key-type", "client certificates are not sent"},
    {"c", "want --concurrency-range START:END:STEP"},
    {"d", "want --concurrency-range START:END:STEP"},
};

Status check_refused(std::string_view name) {
  for (const Refused& refused : kRefused)
    if (refused.name == name)
      return Error{Code::kInvalidArgument,
                   concat(name.size() > 1 ? "--" : "-", name, ": ", refused.why)};
  return {};
}

}  // namespace

Result<LongArguments> to_long_arguments(const std::vector<std::string>& arguments) {
  LongArguments out;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument.starts_with("--")) {
      const std::string name = argument.substr(2, argument.find('=') - 2);
      SIS_TRY(check_refused(name));
      if (name == "verbose") {
        ++out.verbosity;
      } else if (name == "data-directory") {
        out.arguments.push_back("--input-data" + argument.substr(2 + name.size()));
      } else {
        out.arguments.push_back(argument);
      }
      // What follows may be this flag's value and begin with a dash: "--percentile -1".
      if (argument.find('=') == std::string::npos && i + 1 < arguments.size()) {
        const std::string& next = arguments[i + 1];
        if (next.size() > 1 && next[0] == '-' && parse_double(next)) {
          out.arguments.push_back(next);
          ++i;
        }
      }
      continue;
    }
    if (argument.size() < 2 || argument[0] != '-') {
      out.arguments.push_back(argument);
      continue;
    }
    // Letters without values may stand together: -av.
    for (size_t at = 1; at < argument.size(); ++at) {
      const ShortFlag* flag = nullptr;
      for (const ShortFlag& candidate : kShort)
        if (candidate.letter == argument[at]) flag = &candidate;
      if (flag == nullptr) {
        SIS_TRY(check_refused(argument.substr(at, 1)));
        return Error{Code::kInvalidArgument,
                     concat("unknown flag ", in_quotes(argument), "; --help lists them")};
      }
      if (flag->letter == 'v') {
        ++out.verbosity;
        continue;
      }
      out.arguments.push_back(concat("--", flag->name));
      if (!flag->takes_value) continue;
      if (at + 1 < argument.size()) {
        out.arguments.push_back(argument.substr(at + 1));
      } else if (i + 1 < arguments.size()) {
        out.arguments.push_back(arguments[++i]);
      } else {
        return Error{Code::kInvalidArgument,
                     concat("-", argument.substr(at, 1), ": want a value behind it")};
      }
      break;
    }
  }
  return out;
}

}  // namespace sis::perf
