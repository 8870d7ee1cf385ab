//! The grammar of filters: `or` binds weakest, then `and` (or nothing between two terms), then `not`, then `( )`.

use observer_core::report::{Column, Role, Unit};
use regex::{Regex, RegexBuilder};

use super::{Comparison, Expression, TextTest};
use crate::quantity;

/// The largest automaton that a typed expression may need, in bytes: a filter runs over every row of every report.
const PATTERN_LIMIT: usize = 1 << 18;

/// The meaning of `text`; `None` if it is blank.
pub(super) fn parse(text: &str, columns: &[Column]) -> Result<Option<Expression>, String> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, columns };
    if parser.tokens.is_empty() {
        return Ok(None);
    }
    let expression = parser.any()?;
    match parser.tokens.get(parser.at) {
        None => Ok(Some(expression)),
        Some(_) => Err("there is a `)` too many".to_owned()),
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Operator(&'static str),
    /// A word, a name or a value; whether it was quoted.
    Word(String, bool),
    Pattern(String),
}

/// Longer ones first.
const OPERATORS: [&str; 8] = [">=", "<=", "!=", "!~", ">", "<", "=", "~"];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        // A value may contain what is an operator elsewhere.
        let after_operator = matches!(tokens.last(), Some(Token::Operator(_)));
        let operator = OPERATORS.iter().find(|operator| rest.starts_with(**operator));
        let (token, length) = match (first, operator) {
            ('(', _) if !after_operator => (Token::Open, 1),
            (')', _) => (Token::Close, 1),
            ('"', _) => delimited(rest, '"').map(|(word, length)| (Token::Word(word, true), length))?,
            ('/', _) => delimited(rest, '/').map(|(word, length)| (Token::Pattern(word), length))?,
            (_, Some(operator)) if !after_operator => (Token::Operator(operator), operator.len()),
            ('!', _) if !after_operator => (Token::Not, 1),
            _ => {
                let ends = |(at, character): &(usize, char)| {
                    character.is_whitespace()
                        || (!after_operator
                            && OPERATORS.iter().any(|operator| rest[*at..].starts_with(operator)))
                        || (*character == ')' && !rest[..*at].contains('('))
                };
                let end = rest.char_indices().find(ends).map_or(rest.len(), |(at, _)| at);
                let word = &rest[..end];
                let token = match word {
                    "and" if !after_operator => Token::And,
                    "or" if !after_operator => Token::Or,
                    "not" if !after_operator => Token::Not,
                    _ => Token::Word(word.to_owned(), false),
                };
                (token, end)
            }
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// What stands between two `mark`s at the start of `text`, and the length of all of it.
fn delimited(text: &str, mark: char) -> Result<(String, usize), String> {
    let inner = &text[1..];
    let end = inner.find(mark).ok_or_else(|| format!("the closing `{mark}` is missing"))?;
    Ok((inner[..end].to_owned(), end + 2))
}

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    columns: &'a [Column],
}

impl Parser<'_> {
    fn next(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn any(&mut self) -> Result<Expression, String> {
        let mut parts = vec![self.all()?];
        while self.next() == Some(&Token::Or) {
            self.at += 1;
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::Any(parts) })
    }

    fn all(&mut self) -> Result<Expression, String> {
        let mut parts = vec![self.one()?];
        loop {
            match self.next() {
                Some(Token::And) => {
                    self.at += 1;
                    parts.push(self.one()?);
                }
                None | Some(Token::Or | Token::Close) => break,
                Some(_) => parts.push(self.one()?),
            }
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expression::All(parts) })
    }

    fn one(&mut self) -> Result<Expression, String> {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).cloned();
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        match token {
            Some(Token::Not) => Ok(Expression::Not(Box::new(self.one()?))),
            Some(Token::Open) => {
                let inner = self.any()?;
                if self.next() != Some(&Token::Close) {
                    return Err("a `)` is missing".to_owned());
                }
                self.at += 1;
                Ok(inner)
            }
            Some(Token::Pattern(pattern)) => Ok(Expression::Pattern(regex(&pattern)?)),
            Some(Token::Word(word, quoted)) => match self.next() {
                Some(Token::Operator(operator)) if !quoted => {
                    let operator = *operator;
                    self.at += 1;
                    self.comparison(&word, operator)
                }
                _ => Ok(Expression::Word(word)),
            },
            Some(Token::Operator(operator)) => {
                Err(format!("the name of a column is missing before `{operator}`"))
            }
            Some(Token::Close) => Err("there is a `)` too many".to_owned()),
            Some(Token::And | Token::Or) | None => Err(match before {
                Some(Token::And) => "a term is missing after `and`".to_owned(),
                Some(Token::Or) => "a term is missing after `or`".to_owned(),
                Some(Token::Not) => "a term is missing after `not`".to_owned(),
                _ => "a term is missing".to_owned(),
            }),
        }
    }

    fn comparison(&mut self, name: &str, operator: &str) -> Result<Expression, String> {
        let at = self.column(name)?;
        let column = &self.columns[at];
        let value = match self.tokens.get(self.at) {
            Some(Token::Word(word, _) | Token::Pattern(word)) => word.clone(),
            _ => return Err(format!("compare `{name}` with a value")),
        };
        self.at += 1;
        match operator {
            "~" => return Ok(Expression::Text(at, TextTest::Matches(regex(&value)?, true))),
            "!~" => return Ok(Expression::Text(at, TextTest::Matches(regex(&value)?, false))),
            _ => {}
        }
        if matches!(column.role, Role::Label | Role::Text | Role::Trend) {
            return match operator {
                "=" => Ok(Expression::Text(at, TextTest::Is(value, true))),
                "!=" => Ok(Expression::Text(at, TextTest::Is(value, false))),
                // Some names are numbers: a process id.
                _ => match quantity::parse(&value, Unit::None) {
                    Some(number) if column.name.ends_with("id") => {
                        Ok(Expression::Number(at, meaning(operator), number))
                    }
                    _ => Err(format!("`{name}` is text: compare it with =, !=, ~ or !~")),
                },
            };
        }
        let number = quantity::parse(&value, column.unit)
            .ok_or_else(|| format!("`{value}` is no number for `{name}`: give {}", example(column.unit)))?;
        Ok(Expression::Number(at, meaning(operator), number))
    }

    /// The place of a column by its name in JSON, or by its title.
    fn column(&self, name: &str) -> Result<usize, String> {
        let lower = name.to_lowercase();
        let named = self.columns.iter().position(|column| column.name == lower);
        let titled = || {
            let title =
                |column: &Column| column.heading.is_some_and(|heading| heading.title.to_lowercase() == lower);
            self.columns.iter().position(title)
        };
        named.or_else(titled).ok_or_else(|| {
            let names: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
            format!("this table has no column `{name}`; it has {}", names.join(", "))
        })
    }
}

fn meaning(operator: &str) -> Comparison {
    match operator {
        "<" => Comparison::Less,
        "<=" => Comparison::AtMost,
        "!=" => Comparison::Unequal,
        ">=" => Comparison::AtLeast,
        ">" => Comparison::More,
        _ => Comparison::Equal,
    }
}

const fn example(unit: Unit) -> &'static str {
    match unit {
        Unit::None | Unit::Count => "a number, such as 20 or 4k",
        Unit::Bytes => "bytes, such as 500M or 1.5GiB",
        Unit::BytesPerSecond => "a rate, such as 4MiB/s or 40Mbit",
        Unit::BitsPerSecond => "a rate, such as 40Mbit",
        Unit::Seconds => "a time, such as 20ms, 5min or 2h",
        Unit::Ratio => "a share, such as 80%",
    }
}

fn regex(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(PATTERN_LIMIT).build().map_err(|error| {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        format!("`{pattern}` is no regular expression: {reason}")
    })
}
