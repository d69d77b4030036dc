// Transcriptions of every format, right and wrong; lengths of recordings; the form that is sent.
#include "perf/load/audio_judge.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "perf/load/audio.h"

namespace sis::perf {
namespace {

std::string error_of(AudioFormat format, const std::string& body, int status = 200) {
  static const std::vector<double> kSeconds{2.5};
  const Judgement judgement = make_audio_judge(format, kSeconds)->judge(0, {status, body});
  EXPECT_EQ(judgement.ok, judgement.error.empty());
  if (judgement.ok) {
    EXPECT_EQ(judgement.amount, 2.5);
  }
  return judgement.error;
}

TEST(AudioJudge, RightAnswersPass) {
  EXPECT_EQ(error_of(AudioFormat::kJson, R"({"text":""})"), "");
  EXPECT_EQ(error_of(AudioFormat::kText, "hello\n"), "");
  EXPECT_EQ(
      error_of(AudioFormat::kVerboseJson,
               R"({"text":"a b","duration":2,"segments":[{"id":0,"start":0,"end":1.5,"text":"a"},
                        {"id":1,"start":1.5,"end":2,"text":"b"}]})"),
      "");
  EXPECT_EQ(error_of(AudioFormat::kSrt, ""), "");
  EXPECT_EQ(
      error_of(AudioFormat::kSrt,
               "1\n00:00:00,000 --> 00:00:01,500\na\n\n2\n00:00:01,500 --> 00:01:00,000\nb\n"),
      "");
  EXPECT_EQ(error_of(AudioFormat::kVtt,
                     "WEBVTT\n\n00:00.000 --> 00:01.500\na\n\nNOTE x\n\nname\n00:00:01.500 --> "
                     "01:00:02.000 align:left\nb\nc\n"),
            "");
}

TEST(AudioJudge, WrongAnswersSayWhy) {
  EXPECT_EQ(error_of(AudioFormat::kJson, R"({"texts":""})"), "answer has no string 'text'");
  EXPECT_NE(error_of(AudioFormat::kJson, "hello").find("answer is not JSON"), std::string::npos);
  EXPECT_EQ(error_of(AudioFormat::kText, "\xff"), "answer is not UTF-8");
  EXPECT_EQ(error_of(AudioFormat::kText, R"({"text":"x"})"), "want plain text, found JSON");
  EXPECT_EQ(error_of(AudioFormat::kVerboseJson, R"({"text":"x"})"),
            "answer has no array 'segments'");
  EXPECT_EQ(error_of(AudioFormat::kVerboseJson,
                     R"({"text":"x","segments":[{"start":1,"end":0.5,"text":"x"}]})"),
            "segments[0]: times run backwards: 1 to 0.5");
  EXPECT_EQ(error_of(AudioFormat::kSrt, "2\n00:00:00,000 --> 00:00:01,000\na\n"),
            "srt: want the number 1, found '2'");
  EXPECT_EQ(error_of(AudioFormat::kSrt, "1\n00:00:00.000 --> 00:00:01.000\na\n"),
            "srt: cue 1: want times like 00:00:01,500, found '00:00:00.000 --> 00:00:01.000'");
  EXPECT_EQ(error_of(AudioFormat::kSrt, "1\n00:00:60,000 --> 00:01:01,000\na\n"),
            "srt: cue 1: want times like 00:00:01,500, found '00:00:60,000 --> 00:01:01,000'");
  EXPECT_EQ(error_of(AudioFormat::kVtt, "1\n00:00.000 --> 00:01.500\na\n"),
            "vtt: want WEBVTT in the first line");
  EXPECT_EQ(error_of(AudioFormat::kVtt,
                     "WEBVTT\n\n00:02.000 --> 00:03.000\na\n\n00:01.000 --> 00:02.000\nb\n"),
            "vtt: cue 2: times run backwards: '00:01.000 --> 00:02.000'");
  EXPECT_EQ(error_of(AudioFormat::kJson, R"({"error":{"message":"too large"}})", 400),
            "status 400: 'too large'");
}

// The heads are written by hand after the formats' documents.
TEST(AudioFile, HeadsTellHowLongItPlays) {
  EXPECT_EQ(audio_seconds(silent_wav(1.0, "a.wav").bytes), 1.0);
  EXPECT_EQ(audio_seconds(silent_wav(0.25, "a.wav").bytes), 0.25);
  // FLAC at 44.1 kHz, 88,200 samples: 20 bits rate, 3 channels, 5 bits, 36 bits samples.
  std::string flac = "fLaC" + std::string("\0\0\0\x22", 4) + std::string(10, '\0');
  const uint64_t word = uint64_t{44100} << 44 | uint64_t{1} << 41 | uint64_t{15} << 36 | 88200;
  for (int i = 7; i >= 0; --i) flac += static_cast<char>(word >> (8 * i));
  flac += std::string(16, '\0');
  EXPECT_EQ(audio_seconds(flac), 2.0);
  // MPEG 1 layer III, 128 kbit/s, 44.1 kHz: frames of 417 bytes, 1,152 samples each.
  std::string mp3;
  for (int i = 0; i < 100; ++i) mp3 += std::string("\xff\xfb\x90\x00", 4) + std::string(413, 'x');
  EXPECT_NEAR(audio_seconds(mp3).value(), 100 * 1152 / 44100.0, 1e-9);
  // Ogg Opus: 48,000 samples and 312 skipped ones, on the last page.
  std::string ogg = "OggS" + std::string(24, '\0') + "OpusHead\x01\x01" +
                    std::string("\x38\x01", 2) + std::string(8, '\0') + "OggS" +
                    std::string("\0\4", 2);
  const uint64_t position = 48312;
  for (int i = 0; i < 8; ++i) ogg += static_cast<char>(position >> (8 * i));
  EXPECT_EQ(audio_seconds(ogg), 1.0);
  for (const char* other : {"", "RIFF", "RIFF1234WAVE", "fLaC", "OggS", "hello"})
    EXPECT_EQ(audio_seconds(other), std::nullopt) << other;
}

TEST(AudioFile, FoldersGiveTheirRecordingsInOrder) {
  const std::string folder = testing::TempDir() + "audio_judge_test_folder";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  std::ofstream(folder + "/readme.txt") << "x";
  EXPECT_NE(read_audio(folder).error().message.find("want audio files"), std::string::npos);
  std::ofstream(folder + "/b.wav") << silent_wav(1, "b").bytes;
  std::ofstream(folder + "/a.MP3") << "not one";
  const auto files = read_audio(folder);
  ASSERT_TRUE(files.ok()) << files.error().message;
  ASSERT_EQ(files->size(), 2u);
  EXPECT_EQ((*files)[0].name, "a.MP3");
  EXPECT_EQ((*files)[0].seconds, std::nullopt);
  EXPECT_EQ((*files)[1].seconds, 1.0);
  EXPECT_FALSE(read_audio(folder + "/none.wav").ok());
  std::filesystem::remove_all(folder);
}

TEST(AudioWorkload, SendsAFormThatEndsWhereItSays) {
  std::vector<AudioFile> files{silent_wav(0.01, "we\"ird\r\n.wav")};
  files[0].bytes += "--sis-bench-0-5d8a3f71c0--";  // the usual boundary is taken
  const auto workload = AudioWorkload::create({.url = net::parse_url("http://h:1").value(),
                                               .model = "m",
                                               .files = &files,
                                               .format = AudioFormat::kSrt,
                                               .language = "en",
                                               .granularities = {"word"}});
  ASSERT_TRUE(workload.ok()) << workload.error().message;
  std::string scratch;
  const std::string request((*workload)->request(0, scratch));
  EXPECT_NE(request.find("boundary=sis-bench-1-5d8a3f71c0\r\n"), std::string::npos);
  EXPECT_NE(request.find("name=\"file\"; filename=\"we%22ird%0D%0A.wav\"\r\nContent-Type: "
                         "audio/wav\r\n\r\nRIFF"),
            std::string::npos);
  EXPECT_NE(request.find("name=\"response_format\"\r\n\r\nsrt\r\n"), std::string::npos);
  EXPECT_NE(request.find("name=\"timestamp_granularities[]\"\r\n\r\nword\r\n"), std::string::npos);
  EXPECT_TRUE(request.ends_with("\r\n--sis-bench-1-5d8a3f71c0--\r\n"));
}

}  // namespace
}  // namespace sis::perf
