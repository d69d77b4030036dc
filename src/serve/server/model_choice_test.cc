#include "serve/server/model_choice.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/settings.h"
#include "serve/server/settings_table.h"

namespace sis::server {
namespace {

namespace fs = std::filesystem;

class ModelChoiceTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("sis_model_choice_" + std::to_string(getpid()));
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string checkpoint(const std::string& name) {
    fs::create_directories(folder_ / name);
    std::ofstream(folder_ / name / "config.json") << "{}";
    return (folder_ / name).string();
  }
  // No catalog file: the demo models are all there is.
  Result<ModelChoice> choose(std::vector<std::pair<std::string, std::string>> environment) {
    environment.emplace_back("SIS_DATA_DIR", (folder_ / "demo").string());
    auto settings =
        Settings::load(settings_table(), {.environment = std::move(environment), .folder = ""});
    EXPECT_TRUE(settings.ok()) << (settings.ok() ? "" : settings.error().message);
    const auto catalog = load_catalog((folder_ / "models.yaml").string(), true);
    EXPECT_TRUE(catalog.ok());
    return choose_models(*catalog, *settings);
  }
  static std::vector<std::string> names(const ModelChoice& choice) {
    std::vector<std::string> out;
    for (const auto& entry : choice.entries) out.push_back(entry.name);
    return out;
  }

  fs::path folder_;
};

// The checkout's own demo folder is looked at too, so what is there in any case must be chosen.
TEST_F(ModelChoiceTest, DemoModelsThatAreThere) {
  checkpoint("demo/models/sentiment");
  const auto choice = choose({});
  ASSERT_TRUE(choice.ok()) << choice.error().message;
  const auto chosen = names(*choice);
  EXPECT_NE(std::find(chosen.begin(), chosen.end(), kDemoSentimentName), chosen.end());
  EXPECT_EQ(chosen.size() + choice->absent.size(), std::size(kDemoNames));
}

TEST_F(ModelChoiceTest, NamedModelsAreNotLeftOut) {
  const auto choice = choose({{"MODELS", "demo/rerank"}});
  ASSERT_TRUE(choice.ok()) << choice.error().message;
  EXPECT_EQ(names(*choice), std::vector<std::string>{"demo/rerank"});
  EXPECT_EQ(choice->entries[0].kind, ModelKind::kRerank);
}

TEST_F(ModelChoiceTest, AFolderAnswersPredict) {
  const std::string folder = checkpoint("moods");
  for (const std::string& uri : {folder, folder + "/", "file://" + folder}) {
    const auto choice = choose({{"MODELS", "demo/embed"}, {"MODEL_URI", uri}});
    ASSERT_TRUE(choice.ok()) << choice.error().message;
    EXPECT_EQ(names(*choice), (std::vector<std::string>{"demo/embed", "moods"})) << uri;
    EXPECT_EQ(choice->entries[1].kind, ModelKind::kClassification);
    EXPECT_EQ(choice->entries[1].path, folder);
    EXPECT_EQ(choice->entries[1].hf_repo_id, uri);
  }
}

TEST_F(ModelChoiceTest, ANameAnswersPredict) {
  const auto choice = choose({{"MODELS", "demo/embed"}, {"MODEL_URI", "demo/sentiment"}});
  ASSERT_TRUE(choice.ok()) << choice.error().message;
  EXPECT_EQ(names(*choice), (std::vector<std::string>{"demo/embed", "demo/sentiment"}));
  const auto both = choose({{"MODELS", "demo/sentiment"}, {"MODEL_URI", "demo/sentiment"}});
  ASSERT_TRUE(both.ok()) << both.error().message;
  EXPECT_EQ(names(*both), std::vector<std::string>{"demo/sentiment"});
}

TEST_F(ModelChoiceTest, WrongUrisAreErrors) {
  const auto other = choose({{"MODEL_URI", "demo/chat"}});
  ASSERT_FALSE(other.ok());
  EXPECT_NE(other.error().message.find("want a classification model"), std::string::npos);
  const auto nothing = choose({{"MODEL_URI", "/nonexistent"}});
  ASSERT_FALSE(nothing.ok());
  EXPECT_NE(nothing.error().message.find("MODEL_URI: '/nonexistent'"), std::string::npos)
      << nothing.error().message;
}

}  // namespace
}  // namespace sis::server
