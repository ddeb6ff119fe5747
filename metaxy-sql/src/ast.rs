//! SQL as a tree, the same for all dialects.
//!
//! Nothing here knows how a name is quoted or what a function is called; `print` does.

use crate::functions::Function;
use crate::ident::Ident;
use crate::literal::Literal;
use crate::types::ColumnType;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A column, of a named relation or of the only one in scope.
    Column(Option<Ident>, Ident),
    /// The address of a row of a stored table, of a named relation or of the only one in scope: unique
    /// within one statement.
    RowAddress(Option<Ident>),
    /// A constant.
    Literal(Literal),
    /// A function of values.
    Call(Function, Vec<Expr>),
    /// An operator between two values.
    Binary(Box<Expr>, BinaryOp, Box<Expr>),
    /// A comparison of two values that may be floats: NaN equals itself and is larger than all other
    /// numbers.
    Compare(Box<Expr>, BinaryOp, Box<Expr>),
    /// The opposite.
    Not(Box<Expr>),
    /// Whether a value is NULL.
    IsNull(Box<Expr>),
    /// The value of the first condition that holds.
    Case(Vec<(Expr, Expr)>, Option<Box<Expr>>),
    /// A value as another type.
    Cast(Box<Expr>, SqlType),
    /// Whether a tuple is among the rows of a query.
    In(Vec<Expr>, Box<Select>),
    /// The place of a row among those that have the same values, from 1 on; rows that are alike
    /// share one.
    Rank {
        /// The values that rows have to share.
        among: Vec<Expr>,
        /// The order of the rows.
        order_by: Vec<Order>,
    },
    /// The texts of a group, without those that are NULL, with `|` between them; NULL if all are.
    JoinTexts {
        /// The text of a row.
        value: Box<Expr>,
        /// The order of the rows: integers by value, texts by their bytes.
        order_by: Vec<Expr>,
    },
    /// The values of a group as a list, NULL among them.
    ListOf {
        /// The value of a row.
        value: Box<Expr>,
        /// The order of the rows, as for texts.
        order_by: Vec<Expr>,
    },
    /// Whether a value is one of these; NULL if it is NULL.
    InList(Box<Expr>, Vec<Expr>),
    /// The value of a query that gives one row of one column.
    Scalar(Box<Select>),
}

/// An operator between two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// Either holds.
    Or,
    /// Both hold.
    And,
    /// Equal; NULL if a side is.
    Eq,
    /// Different; NULL if a side is.
    NotEq,
    /// Different; NULL is a value like any other.
    IsDistinctFrom,
    /// Equal; NULL is a value like any other.
    IsNotDistinctFrom,
    /// Less; NULL if a side is.
    Lt,
    /// At most; NULL if a side is.
    LtEq,
    /// Greater; NULL if a side is.
    Gt,
    /// At least; NULL if a side is.
    GtEq,
    /// The sum.
    Add,
    /// The difference.
    Sub,
}

/// A type, as a column has it or a cast names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqlType {
    /// A column type.
    Column(ColumnType),
    /// A number of one byte, for codes.
    Code,
    /// That of the address of a row.
    Address,
    /// A point in time without a time zone, in microseconds: what the Python implementation keeps times
    /// of UTC in. No column of a feature has it.
    LocalTimestamp,
}

impl std::convert::From<ColumnType> for SqlType {
    fn from(ty: ColumnType) -> Self {
        Self::Column(ty)
    }
}

/// One SELECT.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Select {
    /// Whether rows that are equal are given once.
    pub distinct: bool,
    /// The values and their names.
    pub columns: Vec<(Expr, Ident)>,
    /// Where rows come from; `None` gives one row of constants.
    pub from: Option<From>,
    /// Which rows.
    pub filter: Option<Expr>,
    /// One row per distinct value of these.
    pub group_by: Vec<Expr>,
    /// Which groups.
    pub having: Option<Expr>,
    /// The order of the rows; NULL comes last.
    pub order_by: Vec<Order>,
    /// How many rows at the most.
    pub limit: Option<u64>,
    /// More rows of the same columns, after its own.
    pub union_all: Vec<Self>,
}

/// One of the values that rows are ordered by.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// The value.
    pub expr: Expr,
    /// Whether the largest comes first.
    pub descending: bool,
}

/// Relations joined from left to right.
#[derive(Clone, Debug, PartialEq)]
pub struct From {
    /// The first.
    pub first: Source,
    /// Which rows of the first, a stored table, are looked at; `None` for all.
    pub latest: Option<Box<Latest>>,
    /// The others.
    pub joins: Vec<Join>,
}

/// Of the rows of a stored table that agree on some values, the one that is last in an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Latest {
    /// The table under another name, joined with what says which of its rows count at all.
    pub rows: From,
    /// Which of these count.
    pub filter: Option<Expr>,
    /// The values that rows have to share.
    pub among: Vec<Expr>,
    /// The order: a [`Function::RowOrder`].
    pub order: Expr,
    /// Whether most rows are likely to be the only ones with their values.
    pub mostly_once: bool,
    /// Whether there are so few rows that a database may read them with fewer threads than it has.
    pub few: bool,
}

/// A relation under a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// A stored table or a common table expression.
    pub relation: Ident,
    /// The name it has in this SELECT.
    pub alias: Ident,
}

/// One step of a chain of joins.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// Which rows survive.
    pub kind: JoinKind,
    /// The right side.
    pub source: Source,
    /// When two rows belong together.
    pub on: Expr,
}

/// Which rows survive a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// Pairs only.
    Inner,
    /// All of the left side.
    Left,
    /// All of both sides.
    Full,
}

/// A query: SELECTs, one after the other, over named parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The named parts, in order of use.
    pub with: Vec<(Ident, Select)>,
    /// The SELECTs whose rows are given, in this order.
    pub union_all: Vec<Select>,
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// Gives rows.
    Query(Query),
    /// Appends rows.
    Insert {
        /// The table.
        table: Ident,
        /// Its columns, in the order of the query's.
        columns: Vec<Ident>,
        /// The rows.
        query: Query,
    },
    /// Makes a table for this connection from rows.
    CreateTemporaryAs {
        /// The table.
        table: Ident,
        /// The rows.
        query: Query,
    },
    /// Makes a view, or another one of its name.
    CreateView {
        /// The view.
        view: Ident,
        /// The rows.
        query: Query,
    },
    /// Makes a table.
    CreateTable {
        /// The table.
        table: Ident,
        /// Its columns.
        columns: Vec<ColumnDecl>,
        /// Those of them that its rows are looked up by, if there are such.
        key: Vec<Ident>,
        /// Those of them whose values rows share that have to stay together, where rows are spread
        /// over machines.
        together: Vec<Ident>,
        /// Whether it lives as long as the connection only.
        temporary: bool,
    },
    /// Removes rows.
    Delete {
        /// The named parts, in order of use.
        with: Vec<(Ident, Select)>,
        /// The table.
        table: Ident,
        /// The name it has in the condition.
        alias: Ident,
        /// Which rows.
        filter: Expr,
    },
    /// Adds a column to a table.
    AddColumn {
        /// The table.
        table: Ident,
        /// The column.
        column: ColumnDecl,
    },
    /// Removes a table that was made for a while, if it is there.
    DropTemporary {
        /// The table.
        table: Ident,
    },
    /// Gives a column another type, and its values in that type.
    ChangeType {
        /// The table.
        table: Ident,
        /// The column as it is to be.
        column: ColumnDecl,
    },
    /// Lets a column hold NULL from now on, or forbids it.
    ChangeNull {
        /// The table.
        table: Ident,
        /// The column as it is to be.
        column: ColumnDecl,
    },
    /// Removes a column with its values.
    DropColumn {
        /// The table.
        table: Ident,
        /// The column.
        column: Ident,
    },
    /// Removes a table with its rows.
    DropTable {
        /// The table.
        table: Ident,
    },
    /// Fails with a message, whatever is in the database.
    Refuse {
        /// The message.
        message: String,
    },
}

/// A column of a table that is made.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDecl {
    /// The name.
    pub name: Ident,
    /// The type.
    pub ty: SqlType,
    /// Whether it may hold NULL.
    pub nullable: bool,
}

/// Short ways to build trees, for `lower`.
pub(crate) mod build {
    use super::{BinaryOp, Expr, From, Join, JoinKind, Select, Source};
    use crate::functions::Function;
    use crate::ident::Ident;
    use crate::literal::Literal;

    pub(crate) fn name(text: impl Into<String>) -> Ident {
        Ident::generated(text)
    }

    pub(crate) fn col(relation: &str, column: impl Into<String>) -> Expr {
        Expr::Column(Some(name(relation)), name(column))
    }

    pub(crate) fn text(value: impl Into<String>) -> Expr {
        Expr::Literal(Literal::Text(value.into()))
    }

    pub(crate) fn int(value: i64) -> Expr {
        Expr::Literal(Literal::Int(value.into()))
    }

    pub(crate) fn bool(value: bool) -> Expr {
        Expr::Literal(Literal::Bool(value))
    }

    pub(crate) fn null() -> Expr {
        Expr::Literal(Literal::Null)
    }

    pub(crate) fn call(function: Function, args: impl IntoIterator<Item = Expr>) -> Expr {
        Expr::Call(function, args.into_iter().collect())
    }

    pub(crate) fn binary(left: Expr, op: BinaryOp, right: Expr) -> Expr {
        Expr::Binary(Box::new(left), op, Box::new(right))
    }

    pub(crate) fn eq(left: Expr, right: Expr) -> Expr {
        binary(left, BinaryOp::Eq, right)
    }

    pub(crate) fn differs(left: Expr, right: Expr) -> Expr {
        binary(left, BinaryOp::IsDistinctFrom, right)
    }

    pub(crate) fn not(expr: Expr) -> Expr {
        Expr::Not(Box::new(expr))
    }

    pub(crate) fn is_null(expr: Expr) -> Expr {
        Expr::IsNull(Box::new(expr))
    }

    pub(crate) fn is_set(expr: Expr) -> Expr {
        not(is_null(expr))
    }

    pub(crate) fn coalesce(args: impl IntoIterator<Item = Expr>) -> Expr {
        call(Function::Coalesce, args)
    }

    /// All hold; true without any.
    pub(crate) fn and(all: impl IntoIterator<Item = Expr>) -> Expr {
        all.into_iter().reduce(|l, r| binary(l, BinaryOp::And, r)).unwrap_or_else(|| bool(true))
    }

    /// One holds; false without any.
    pub(crate) fn or(any: impl IntoIterator<Item = Expr>) -> Expr {
        any.into_iter().reduce(|l, r| binary(l, BinaryOp::Or, r)).unwrap_or_else(|| bool(false))
    }

    pub(crate) fn case(
        whens: impl IntoIterator<Item = (Expr, Expr)>,
        otherwise: Option<Expr>,
    ) -> Expr {
        Expr::Case(whens.into_iter().collect(), otherwise.map(Box::new))
    }

    pub(crate) fn from(relation: impl Into<String>, alias: &str) -> From {
        From { first: source(relation, alias), latest: None, joins: Vec::new() }
    }

    pub(crate) fn scalar(select: Select) -> Expr {
        Expr::Scalar(Box::new(select))
    }

    fn source(relation: impl Into<String>, alias: &str) -> Source {
        Source { relation: name(relation), alias: name(alias) }
    }

    impl From {
        pub(crate) fn join(
            mut self,
            kind: JoinKind,
            relation: impl Into<String>,
            alias: &str,
            on: Expr,
        ) -> Self {
            self.joins.push(Join { kind, source: source(relation, alias), on });
            self
        }
    }

    impl Select {
        pub(crate) fn column(mut self, expr: Expr, alias: impl Into<String>) -> Self {
            self.columns.push((expr, name(alias)));
            self
        }

        pub(crate) fn columns(mut self, columns: impl IntoIterator<Item = (Expr, String)>) -> Self {
            self.columns.extend(columns.into_iter().map(|(expr, alias)| (expr, name(alias))));
            self
        }

        pub(crate) fn from(mut self, from: From) -> Self {
            self.from = Some(from);
            self
        }

        pub(crate) fn filter(mut self, condition: Expr) -> Self {
            self.filter = Some(match self.filter.take() {
                Some(other) => and([other, condition]),
                None => condition,
            });
            self
        }

        pub(crate) fn group_by(mut self, exprs: impl IntoIterator<Item = Expr>) -> Self {
            self.group_by.extend(exprs);
            self
        }
    }
}
