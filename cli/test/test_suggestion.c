/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <string.h>

#include "cli/suggestion.h"
#include "testkit/test.h"

TEST(suggestion, counts_the_letters_that_differ)
{
    EXPECT_UINT(suggestion_distance("", ""), 0);
    EXPECT_UINT(suggestion_distance("status", "status"), 0);
    EXPECT_UINT(suggestion_distance("", "abc"), 3);
    EXPECT_UINT(suggestion_distance("abc", ""), 3);
    EXPECT_UINT(suggestion_distance("kitten", "sitting"), 3);
    EXPECT_UINT(suggestion_distance("tsatus", "status"), 1);
    EXPECT_UINT(suggestion_distance("stats", "status"), 1);
    EXPECT_UINT(suggestion_distance("abcd", "dcba"), 3);
}

TEST(suggestion, a_word_too_long_is_like_nothing)
{
    char word[SUGGESTION_WORD_SIZE_MAX + 2];
    memset(word, 'a', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    EXPECT_UINT(suggestion_distance(word, "a"), UINT_MAX);
    EXPECT_UINT(suggestion_distance("a", word), UINT_MAX);
    const char *words[] = {"a"};
    EXPECT(suggestion_find(word, words, 1) == NULL);
}

TEST(suggestion, finds_what_was_meant)
{
    static const char *const words[] = {"status", "settings", "scan", "import", "checkpoint"};
    EXPECT_STR(suggestion_find("stauts", words, 5), "status");
    EXPECT_STR(suggestion_find("setting", words, 5), "settings");
    EXPECT_STR(suggestion_find("sacn", words, 5), "scan");
    EXPECT_STR(suggestion_find("check", words, 5), "checkpoint");
    EXPECT(suggestion_find("frobnicate", words, 5) == NULL);
    EXPECT(suggestion_find("zz", words, 5) == NULL);
    EXPECT(suggestion_find("status", words, 0) == NULL);
}
