//! Where cards and lines are: a picture goes in, rectangles and paths come out.
//!
//! dagre puts the cards in ranks and leads long lines between those in between; the ranks of a line are
//! joined to paths here, one for each pair of fields, with all bends in the gaps between ranks.
//! Widths of texts are those of a monospaced font, the only ones that are known without a browser.

use super::Direction;
use super::picture::{Feature, Field, Picture};
use super::text::cut;
use dagre::graph::{Graph, GraphOptions};
use dagre::{EdgeLabel, LayoutOptions, NodeLabel, RankDir, Ranker};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Heights of the parts of a card.
pub(super) const HEAD: f64 = 46.0;
pub(super) const ROW: f64 = 24.0;
pub(super) const FOOT: f64 = 26.0;
/// Between the edge of a card and its texts.
pub(super) const INSET: f64 = 14.0;
/// The width of a character of a name, in 12.5 pixels, and of small print, in 10.5.
pub(super) const CHARACTER: f64 = 7.55;
pub(super) const SMALL: f64 = 6.35;
/// Longer texts are cut.
pub(super) const LONGEST_NAME: usize = 34;
pub(super) const LONGEST_CODE_VERSION: usize = 12;
/// Of a version, which is a hash.
pub(super) const VERSION: usize = 8;

const MARGIN: f64 = 32.0;
const BETWEEN_RANKS: f64 = 104.0;
const BETWEEN_CARDS: f64 = 26.0;
const BETWEEN_LINES: f64 = 14.0;
/// Between lines of one pair of features, where they go side by side.
const LANE: f64 = 4.0;

pub(super) struct Layout {
    pub width: f64,
    pub height: f64,
    /// One per feature.
    pub cards: Vec<Card>,
    /// One per edge, as the `d` of a path.
    pub paths: Vec<String>,
}

#[derive(Clone, Copy)]
pub(super) struct Card {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// A place in the direction of the drawing: along it, and across.
#[derive(Clone, Copy, PartialEq)]
struct Place {
    along: f64,
    across: f64,
}

impl Layout {
    pub(super) fn of(picture: &Picture<'_>) -> Self {
        let mut cards: Vec<Card> = picture.features.iter().map(|f| size(picture, f)).collect();
        let graph = arranged(picture, &cards);
        for (i, card) in cards.iter_mut().enumerate() {
            let place = graph.node(&i.to_string());
            let (x, y) = place.map_or((0.0, 0.0), |n| (n.x.unwrap_or(0.0), n.y.unwrap_or(0.0)));
            card.x = (x - card.width / 2.0).round();
            card.y = (y - card.height / 2.0).round();
        }
        let paths = Paths { picture, cards: &cards, ranks: ranks(picture.direction, &cards) };
        let paths = paths.all(&graph);
        let extent = |end: fn(&Card) -> f64| cards.iter().map(end).fold(0.0, f64::max) + MARGIN;
        Self { width: extent(|c| c.x + c.width), height: extent(|c| c.y + c.height), cards, paths }
    }
}

/// The width of a row: a name, a code version and a version beside each other.
fn row_width(picture: &Picture<'_>, field: &Field<'_>) -> f64 {
    let mark = field.mark.map_or(0, |_| 2);
    let name = width(field.spec.key.as_str(), LONGEST_NAME, CHARACTER) + mark as f64 * CHARACTER;
    let code_version = field.code_version().filter(|_| picture.shows_code_versions);
    let code_version =
        code_version.map_or(0.0, |text| width(text, LONGEST_CODE_VERSION, SMALL) + 22.0);
    let version = if picture.shows_versions { VERSION as f64 * SMALL + 12.0 } else { 0.0 };
    name + code_version + version
}

fn width(text: &str, longest: usize, character: f64) -> f64 {
    cut(text, longest).chars().count() as f64 * character
}

fn size(picture: &Picture<'_>, feature: &Feature<'_>) -> Card {
    let (path, name) = feature.split_key();
    let mark = if feature.mark.is_some() { 3.0 * CHARACTER } else { 0.0 };
    let version = if picture.shows_versions { VERSION as f64 * SMALL + 12.0 } else { 0.0 };
    let records = feature.state.and_then(|state| state.records);
    let records = records.map_or(0.0, |n| n.to_string().len() as f64 * SMALL * 1.4 + 16.0);
    let foot: f64 = (feature.state.iter().flat_map(super::State::open))
        .map(|(name, n)| (name.len() + n.to_string().len() + 3) as f64 * SMALL + 14.0)
        .sum();
    let rows = feature.fields.iter().filter(|_| picture.shows_fields);
    let widest = rows
        .clone()
        .map(|field| row_width(picture, field))
        .chain([
            width(path, LONGEST_NAME, SMALL) + records,
            width(name, LONGEST_NAME, CHARACTER * 1.08) + mark + version,
            foot,
        ])
        .fold(132.0, f64::max);
    let rows = rows.count() as f64 * ROW;
    let foot = if foot > 0.0 { FOOT } else { 0.0 };
    let rest = if rows > 0.0 { 6.0 } else { 0.0 };
    Card { x: 0.0, y: 0.0, width: (widest + 2.0 * INSET).ceil(), height: HEAD + rows + rest + foot }
}

fn arranged(picture: &Picture<'_>, cards: &[Card]) -> Graph<NodeLabel, EdgeLabel> {
    let mut graph =
        Graph::with_options(GraphOptions { directed: true, multigraph: false, compound: false });
    for (i, Card { width, height, .. }) in cards.iter().copied().enumerate() {
        graph.set_node(i.to_string(), Some(NodeLabel { width, height, ..NodeLabel::default() }));
    }
    for link in &picture.links {
        let (from, to) = (link.upstream.to_string(), link.downstream.to_string());
        graph.set_edge(from, to, Some(EdgeLabel::default()), None);
    }
    let options = LayoutOptions {
        rankdir: match picture.direction {
            Direction::Right => RankDir::LR,
            Direction::Down => RankDir::TB,
            Direction::Left => RankDir::RL,
            Direction::Up => RankDir::BT,
        },
        nodesep: BETWEEN_CARDS,
        edgesep: BETWEEN_LINES,
        ranksep: BETWEEN_RANKS,
        marginx: MARGIN,
        marginy: MARGIN,
        // The best ranks of all would take seconds for some hundred features.
        ranker: if cards.len() > 60 { Ranker::TightTree } else { Ranker::NetworkSimplex },
        ..LayoutOptions::default()
    };
    dagre::layout(&mut graph, Some(options));
    graph
}

/// The ranks, by their middle: where they begin and end along the drawing.
fn ranks(direction: Direction, cards: &[Card]) -> BTreeMap<i64, (f64, f64)> {
    let mut ranks = BTreeMap::new();
    for card in cards {
        let (begin, end) = along(direction, card);
        let middle = f64::midpoint(begin, end);
        let rank: &mut (f64, f64) = ranks.entry(rank_key(middle)).or_insert((begin, end));
        rank.0 = rank.0.min(begin);
        rank.1 = rank.1.max(end);
    }
    ranks
}

/// Cards are put on whole pixels, so middles of one rank may differ a little.
fn rank_key(middle: f64) -> i64 {
    (middle / 4.0).round() as i64
}

/// Where a card begins and ends in the direction of the drawing.
fn along(direction: Direction, card: &Card) -> (f64, f64) {
    match direction {
        Direction::Right => (card.x, card.x + card.width),
        Direction::Left => (-card.x - card.width, -card.x),
        Direction::Down => (card.y, card.y + card.height),
        Direction::Up => (-card.y - card.height, -card.y),
    }
}

struct Paths<'p> {
    picture: &'p Picture<'p>,
    cards: &'p [Card],
    ranks: BTreeMap<i64, (f64, f64)>,
}

impl Paths<'_> {
    fn all(&self, graph: &Graph<NodeLabel, EdgeLabel>) -> Vec<String> {
        let edges = &self.picture.edges;
        let mut n_lanes = vec![0_usize; self.picture.links.len()];
        edges.iter().for_each(|edge| n_lanes[edge.link] += 1);
        let mut next_lane = vec![0_usize; self.picture.links.len()];
        edges
            .iter()
            .map(|edge| {
                let link = &self.picture.links[edge.link];
                let n = n_lanes[edge.link];
                let lane = next_lane[edge.link];
                next_lane[edge.link] += 1;
                let gap = LANE.min(3.0 * LANE / n as f64);
                let aside = (lane as f64 - (n - 1) as f64 / 2.0) * gap;
                let between = self.between(graph, link.upstream, link.downstream);
                let from = self.port(link.upstream, edge.from, true);
                let to = self.port(link.downstream, edge.to, false);
                self.path(from, &between, aside, to)
            })
            .collect()
    }

    /// Where a line leaves a card, or arrives.
    fn port(&self, feature: usize, field: Option<usize>, leaves: bool) -> Place {
        let card = &self.cards[feature];
        let (begin, end) = along(self.picture.direction, card);
        let across = if self.picture.direction.is_horizontal() {
            card.y + field.map_or(HEAD / 2.0, |field| HEAD + (field as f64 + 0.5) * ROW)
        } else {
            let n = self.picture.features[feature].fields.len() as f64;
            let share = field.map_or(0.5, |field| (field as f64 + 1.0) / (n + 1.0));
            card.x + card.width * share
        };
        Place { along: if leaves { end } else { begin }, across }
    }

    /// The ranks that a line passes between its ends, each with its place across.
    fn between(
        &self,
        graph: &Graph<NodeLabel, EdgeLabel>,
        upstream: usize,
        downstream: usize,
    ) -> Vec<((f64, f64), f64)> {
        let (from, to) = (upstream.to_string(), downstream.to_string());
        let points = graph.edge(&from, &to, None).map_or(&[][..], |edge| &edge.points);
        let direction = self.picture.direction;
        let sign = if direction.is_reversed() { -1.0 } else { 1.0 };
        let (_, end) = along(direction, &self.cards[upstream]);
        let (begin, _) = along(direction, &self.cards[downstream]);
        points
            .iter()
            .filter_map(|point| {
                let (along, across) = if direction.is_horizontal() {
                    (point.x * sign, point.y)
                } else {
                    (point.y * sign, point.x)
                };
                let near = [0, -1, 1].map(|off| self.ranks.get(&(rank_key(along) + off)));
                let rank = *near.into_iter().flatten().next()?;
                // Only ranks that lie between the two: ends of the line are in their own.
                (rank.0 >= end && rank.1 <= begin).then_some((rank, across))
            })
            .collect()
    }

    fn path(&self, from: Place, between: &[((f64, f64), f64)], aside: f64, to: Place) -> String {
        let mut out = format!("M{}", self.xy(from));
        let mut at = from;
        for ((begin, end), across) in between.iter().copied() {
            let across = across + aside;
            self.bend(&mut out, at, Place { along: begin, across });
            at = Place { along: end, across };
            let _ = write!(out, "L{}", self.xy(at));
        }
        self.bend(&mut out, at, to);
        out
    }

    /// A curve that begins and ends along the drawing.
    fn bend(&self, out: &mut String, from: Place, to: Place) {
        let far = (to.along - from.along).abs().max(40.0) / 2.0;
        let leave = Place { along: from.along + far, across: from.across };
        let arrive = Place { along: to.along - far, across: to.across };
        let _ = write!(out, "C{} {} {}", self.xy(leave), self.xy(arrive), self.xy(to));
    }

    fn xy(&self, place: Place) -> String {
        let Place { along, across } = place;
        let (x, y) = match self.picture.direction {
            Direction::Right => (along, across),
            Direction::Left => (-along, across),
            Direction::Down => (across, along),
            Direction::Up => (across, -along),
        };
        // A tenth of a pixel is finer than anybody sees; zero has no sign.
        let tenth = |n: f64| (n * 10.0).round() / 10.0 + 0.0;
        format!("{} {}", tenth(x), tenth(y))
    }
}
