//! The course of a number as a graph with both axes.

use super::text::Text;
use crate::trace::Course;
use observer_core::{
    report::{Unit, Value},
    units,
};
use observer_faces::{cell, width::width};
use ratatui::style::Style;

/// A course that moves by less than this part of its largest value is drawn in the middle: noise is no trend.
const FLAT: f64 = 0.03;

/// The dots of a braille character, by column and from the bottom.
const DOTS: [[u32; 4]; 2] = [[0x40, 0x04, 0x02, 0x01], [0x80, 0x20, 0x10, 0x08]];
const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The number of values that a graph of this width shows.
pub(super) const fn points(columns: usize, braille: bool) -> usize {
    if braille { columns * 2 } else { columns }
}

/// Adds the graph to `text`: `height` lines, and one with the time.
pub(super) fn draw(
    text: &mut Text,
    course: &Course,
    columns: usize,
    height: usize,
    braille: bool,
    styles: [Style; 2],
) {
    let known = || course.values.iter().flatten().copied().filter(|value| value.is_finite());
    let (low, high) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
    if low > high || columns == 0 || height == 0 {
        return;
    }
    let range = (high - low).max(FLAT * high.abs().max(low.abs())).max(f64::MIN_POSITIVE);
    let middle = f64::midpoint(low, high);
    let (bottom, top) = (middle - range / 2.0, middle + range / 2.0);
    // A number of bytes is not below zero.
    let bottom = if low >= 0.0 { bottom.max(0.0) } else { bottom };
    let steps = if braille { 4 } else { 8 };
    let levels: Vec<Option<usize>> =
        course
            .values
            .iter()
            .map(|value| {
                let part = (value.filter(|value| value.is_finite())? - bottom) / (top - bottom);
                Some((part * (height * steps - 1) as f64).round().clamp(0.0, (height * steps - 1) as f64)
                    as usize)
            })
            .collect();
    let [graph, faint] = styles;
    for line in (0..height).rev() {
        let body: String = if braille { braille_line(&levels, line) } else { block_line(&levels, line) };
        let label = match line {
            _ if line == height - 1 => shown(top, course.unit),
            0 => shown(bottom, course.unit),
            _ => String::new(),
        };
        text.line(vec![("  ".to_owned(), faint), (body, graph), (format!(" {label}"), faint)]);
    }
    let begin = format!("{} before", units::duration(course.span));
    let blanks = columns.saturating_sub(width(&begin) + 4);
    text.put(
        format!("  {begin}{}then", " ".repeat(blanks)).replace("before", "ago").replace("then", " now"),
        faint,
    );
}

fn shown(number: f64, unit: Unit) -> String {
    let column = observer_core::report::Column::gauge("", unit);
    cell::text(&Value::Real(number), &column)
}

/// One line of braille: a curve, with what is below it filled.
fn braille_line(levels: &[Option<usize>], line: usize) -> String {
    let character = |pair: &[Option<usize>]| {
        let mut dots = 0;
        for (column, level) in pair.iter().enumerate() {
            let Some(level) = level else { continue };
            for (dot, bit) in DOTS[column].iter().enumerate() {
                if line * 4 + dot <= *level {
                    dots |= bit;
                }
            }
        }
        char::from_u32(0x2800 + dots).unwrap_or(' ')
    };
    levels.chunks(2).map(character).collect()
}

fn block_line(levels: &[Option<usize>], line: usize) -> String {
    let character = |level: &Option<usize>| {
        let filled = level.map_or(0, |level| (level + 1).saturating_sub(line * 8).min(8));
        BLOCKS[filled]
    };
    levels.iter().map(character).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(values: &[f64], columns: usize, height: usize, braille: bool) -> Vec<String> {
        let course =
            Course { values: values.iter().copied().map(Some).collect(), span: 600.0, unit: Unit::Bytes };
        let mut text = Text::new(80);
        draw(&mut text, &course, columns, height, braille, [Style::new(); 2]);
        text.plain()
    }

    #[test]
    fn a_rising_course_rises_and_its_axes_are_labelled() {
        let values: Vec<f64> = (0..8).map(|step| f64::from(step) * 1_048_576.0).collect();
        let lines = drawn(&values, 8, 2, false);
        assert_eq!(lines, ["      ▂▄▆█ 7 MiB", "  ▁▃▅▇████ 0 B", "  10 min ago now"]);
    }

    #[test]
    fn braille_has_two_values_a_column() {
        let lines = drawn(&[0.0, 1.0, 2.0, 3.0], 2, 1, true);
        assert_eq!(lines[0], "  ⣠⣾ 3 B");
    }

    #[test]
    fn noise_is_drawn_flat() {
        let lines = drawn(&[1000.0, 1001.0, 1000.5, 1001.0], 4, 1, false);
        assert!(lines[0].chars().all(|character| !"▁▂▇█".contains(character)), "{lines:?}");
    }
}
