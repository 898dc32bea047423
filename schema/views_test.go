package schema

import (
	"context"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/passalong/passalong/collector/engine/enginetest"
)

// contractViews are the views of the contract that this schema has so far,
// with the columns it names.
var contractViews = map[string]string{
	"nodes":       "site token kind parent origin depth return time day page visitor network",
	"visits":      "site visit visitor time landing referrer country region device os browser app pages visible utm_source utm_medium utm_campaign utm_term utm_content",
	"attribution": "site visit view time page visitor ga4_channel naive_dark source channel audience method confidence posterior sharer origin depth",
	"shares":      "site parent child time age page channel method audience self depth origin",
	"trees":       "site origin page time campaign size depth breadth channels r virality",
	"pages":       "site day page title author section published views visits copies shares dark_social dark_low dark_high direct dark_share conversions revenue",
	"channels":    "site day channel method visits confidence_sum dark_low dark_high conversions revenue",
	"copies":      "site day page what copies chars words",
	"conversions": "site time order name value currency confirmed visit source channel sharer origin depth",
	"events": "site day time received row seq item type view via visitor consented network return bot page title referrer country region device os browser app package_channel language zone width " +
		"hash utm_source utm_medium utm_campaign utm_term utm_content clickid author section published canonical what chars words token channel outcome visible scroll name value currency order answer mood batch",
}

func TestViewsHaveTheColumnsOfTheContract(t *testing.T) {
	db := connect(t)
	for _, view := range slices.Sorted(maps.Keys(contractViews)) {
		got := db.columns(t, view)
		for _, column := range strings.Fields(contractViews[view]) {
			kind, ok := got[column]
			switch {
			case !ok:
				t.Errorf("%s has no column %s", view, column)
			case column == "day" && kind != "Date", column == "time" && kind != "DateTime64(3, 'UTC')", column == "posterior" && kind != "Map(String, Float64)":
				t.Errorf("%s.%s is %s", view, column, kind)
			case strings.HasPrefix(kind, "Nullable") && !slices.Contains([]string{"seq", "published", "age", "r", "dark_share"}, column):
				t.Errorf("%s.%s is %s; only what can be unknown may be", view, column, kind)
			}
		}
	}
}

func (db testDB) columns(t *testing.T, table string) map[string]string {
	t.Helper()
	rows, err := db.QueryContext(context.Background(), "SELECT name, type FROM system.columns WHERE database = 'passalong' AND table = $1", table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns := map[string]string{}
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			t.Fatal(err)
		}
		columns[name] = kind
	}
	return columns
}

// What the reading user can select, and nothing of the private database. The
// list is a golden file: a new table must be put there by a person.
func TestReaderSees(t *testing.T) {
	e := enginetest.Start(t)
	connect(t).empty(t)
	reader := open(t, e.ReaderDSN())
	got := reader.query(t, "SELECT database, name FROM system.tables WHERE database NOT IN ('system', 'INFORMATION_SCHEMA', 'information_schema') ORDER BY database, name")
	const golden = "testdata/reader.tsv"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	for line := range strings.Lines(got) {
		if _, name, _ := strings.Cut(strings.TrimSpace(line), "\t"); name != "name" {
			reader.query(t, "SELECT * FROM passalong.`"+name+"` LIMIT 1")
		}
	}
	for _, table := range []string{"texts", "salts"} {
		if _, err := reader.QueryContext(context.Background(), "SELECT * FROM passalong_private."+table); err == nil {
			t.Errorf("the reader may select from passalong_private.%s", table)
		}
	}
}

// world fills the tables with visits of every kind of evidence: each of 600
// views differs from the others in what it came by.
func (db testDB) world(t *testing.T) {
	t.Helper()
	db.empty(t)
	db.run(t, `INSERT INTO passalong.events
    (site, day, time, received, row, seq, item, type, privacy, view, via, return, visitor, network, page, referrer, referrer_kind, referrer_channel, app, utm_source, utm_medium, clickid, name, value, order, what, batch)
SELECT
    if(n % 5 = 0, 'shop.example', 'news.example'), toDate(t), t, t, number, intDiv(number, 600), 0,
    ['view', 'engage', 'copy', 'convert'][intDiv(number, 600) + 1], 'full',
    concat('v', toString(n)), if(n % 3 = 0 AND n > 20, concat('v', toString(n - 5)), ''), n % 17 = 0, concat('reader', toString(n % 200)), n % 90,
    concat('https://news.example/', ['', 'sports/', '2026/story', '2026/other'][n % 4 + 1]),
    ['', '', 'https://t.co/', 'https://www.google.com/', 'https://web.whatsapp.com/', 'https://blog.example/', 'https://news.example/'][n % 7 + 1] AS ref,
    ['', '', 'social', 'search', 'messenger', 'referral', 'internal'][n % 7 + 1], ['', '', 'twitter', '', 'whatsapp', '', ''][n % 7 + 1],
    ['', '', '', 'whatsapp', 'facebook', 'snapchat', 'email', 'meta'][n % 8 + 1],
    ['', '', '', '', 'letter', 'chatgpt.com'][n % 6 + 1], ['', '', '', '', 'email', ''][n % 6 + 1], ['', '', '', 'fbclid', 'gclid', ''][n % 11 % 6 + 1],
    'buy', 9.99, if(n % 2 = 0, toString(n % 40), ''), 'link', 'spool.0.202610'
FROM (SELECT number, number % 600 AS n, toDateTime64('2026-10-01 00:00:00', 3, 'UTC') + toIntervalMinute(n * 11) AS t FROM numbers(2400))`)
	db.run(t, `INSERT INTO passalong.lineage (site, token, kind, via, parent, origin, depth, return, time, received, day, page, visitor, network, returned, generation, version)
SELECT site, view, 'view', via, via, if(via = '', view, via), via != '', return, time, received, day, page, visitor, network, return, -1, 1
FROM passalong.events WHERE type = 'view'`)
}

func TestEveryVisitIsCountedOnce(t *testing.T) {
	db := connect(t)
	db.world(t)
	var visits, keys, attributed, attributedKeys, channels, pages, strangers uint64
	db.one(t, "SELECT count(), uniqExact(site, visit) FROM passalong.visits", &visits, &keys)
	db.one(t, "SELECT count(), uniqExact(site, visit) FROM passalong.attribution", &attributed, &attributedKeys)
	db.one(t, "SELECT count() FROM passalong.attribution WHERE (site, visit) NOT IN (SELECT site, visit FROM passalong.visits)", &strangers)
	db.one(t, "SELECT sum(visits) FROM passalong.channels", &channels)
	db.one(t, "SELECT sum(visits) FROM passalong.pages", &pages)
	if visits == 0 || keys != visits || attributed != visits || attributedKeys != visits || channels != visits || pages != visits || strangers != 0 {
		t.Errorf("visits %d (%d keys), attribution %d (%d keys, %d strangers), channels %d, pages %d", visits, keys, attributed, attributedKeys, strangers, channels, pages)
	}
}

func TestPosteriorSumsToOne(t *testing.T) {
	db := connect(t)
	db.world(t)
	var off, unlike, unlikely, kinds uint64
	db.one(t, `SELECT
    countIf(abs(arraySum(mapValues(posterior)) - 1) > 1e-9),
    countIf(abs(posterior['dark_social'] - confidence) > 1e-12),
    countIf((source = 'dark_social') != (confidence >= .5) OR posterior[source] = 0),
    uniqExact(method, source)
FROM passalong.attribution`, &off, &unlike, &unlikely, &kinds)
	if off+unlike+unlikely != 0 || kinds < 12 {
		t.Errorf("%d posteriors do not sum to 1, %d differ from confidence, %d have an unlikely source; %d kinds of verdict", off, unlike, unlikely, kinds)
	}
	const sources = "'dark_social', 'direct', 'search', 'social', 'email', 'referral', 'campaign', 'paid', 'ai', 'push', 'aggregator', 'internal'"
	const methods = "'token', 'link', 'button', 'app', 'referrer', 'clickid', 'campaign', 'answer', 'pattern', 'none'"
	var foreign uint64
	db.one(t, "SELECT countIf(source NOT IN ("+sources+") OR method NOT IN ("+methods+") OR audience NOT IN ('private', 'public', 'broadcast', '')) FROM passalong.attribution", &foreign)
	if foreign != 0 {
		t.Errorf("%d visits have a word that is not the contract's", foreign)
	}
}

func TestSumsAgree(t *testing.T) {
	db := connect(t)
	db.world(t)
	var a, c, p, lows, highs float64
	db.one(t, "SELECT sum(confidence) FROM passalong.attribution", &a)
	db.one(t, "SELECT sum(confidence_sum), countIf(dark_low > confidence_sum), countIf(dark_high < confidence_sum - 1e-9) FROM passalong.channels", &c, &lows, &highs)
	db.one(t, "SELECT sum(dark_social) FROM passalong.pages", &p)
	if math.Abs(a-c) > 1e-6 || math.Abs(a-p) > 1e-6 || lows+highs != 0 {
		t.Errorf("sum of confidence: attribution %v, channels %v, pages %v; %v and %v bounds on the wrong side", a, c, p, lows, highs)
	}
	var conversions, orders, inChannels, inPages, revenue uint64
	db.one(t, "SELECT count(), toUInt64(100 * sum(revenue)) FROM passalong.conversions", &conversions, &revenue)
	db.one(t, "SELECT uniqExactIf((site, order), order != '') + countIf(order = '') FROM passalong.events WHERE type = 'convert'", &orders)
	db.one(t, "SELECT sum(conversions) FROM passalong.channels", &inChannels)
	db.one(t, "SELECT sum(conversions) FROM passalong.pages", &inPages)
	if conversions != orders || inChannels != orders || inPages != orders || revenue != 999*orders {
		t.Errorf("%d orders in events, %d conversions, %d in channels, %d in pages, revenue %d cents", orders, conversions, inChannels, inPages, revenue)
	}
}

// ClickHouse reorders joins across views and fails where two of them number
// their columns alike. Views join by ANY, which it leaves alone.
func TestViewsCanBeJoined(t *testing.T) {
	db := connect(t)
	db.world(t)
	for _, join := range []string{
		"attribution AS a JOIN passalong.conversions AS b ON b.site = a.site AND b.visit = a.visit",
		"attribution AS a JOIN passalong.visits AS b ON b.site = a.site AND b.visit = a.visit",
		"attribution AS a LEFT JOIN passalong.pages AS b ON b.site = a.site AND b.day = a.day AND b.page = a.page",
		"shares AS a JOIN passalong.trees AS b ON b.site = a.site AND b.origin = a.origin",
		"nodes AS a JOIN passalong.attribution AS b ON b.site = a.site AND b.view = a.token",
	} {
		var rows uint64
		db.one(t, "SELECT count() FROM passalong."+join, &rows)
		if rows == 0 {
			t.Errorf("%s: no row", join)
		}
	}
	join := regexp.MustCompile(`(?m)^\s*(left |inner )?join `)
	names, err := viewFiles()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if at := join.FindString(string(text)); at != "" {
			t.Errorf("%s joins without ANY, SEMI or ANTI: %q", name, at)
		}
	}
}

// A reader's own settings change no number.
func TestSettingsOfTheReaderChangeNothing(t *testing.T) {
	db := connect(t)
	db.world(t)
	for _, view := range []string{"attribution", "visits"} {
		query := "SELECT cityHash64(groupArray(toString(tuple(*)))) FROM (SELECT * FROM passalong." + view + " ORDER BY ALL)"
		var plain, nulls uint64
		db.one(t, query, &plain)
		db.one(t, query+" SETTINGS join_use_nulls = 1", &nulls)
		if plain != nulls {
			t.Errorf("%s reads differently with join_use_nulls", view)
		}
	}
}

// Each view's first comment says what one row is and names every column.
func TestViewsAreDescribed(t *testing.T) {
	names, err := viewFiles()
	if err != nil {
		t.Fatal(err)
	}
	created := regexp.MustCompile(`create or replace (view passalong\.|function )(\w+) \{\{on_cluster\}\} as`)
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		m := created.FindSubmatch(text)
		if m == nil {
			t.Errorf("%s makes no view or function in the common form", name)
			continue
		}
		if want := strings.TrimSuffix(filepath.Base(name), ".sql")[3:]; want != string(m[2]) {
			t.Errorf("%s makes %s", name, m[2])
		}
		first, _, _ := strings.Cut(string(text), "\n")
		if strings.Contains(string(m[1]), "view") && !strings.HasPrefix(first, fmt.Sprintf("-- %s: one row a", m[2])) {
			t.Errorf("%s does not begin with what one row is: %s", name, first)
		}
	}
}
