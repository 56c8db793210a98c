"""GraphQL documents: parsed and validated once, priced, and compiled to a plan.

``graphql-core`` parses, validates and coerces. What its executor would do per field and per value
is compiled here, once per query text, to closures over plain dicts; introspection alone is left to
its own executor.

Prices (credits) follow the documented idea, cost grows with what may come back, by a model of
ours: a mutation is 10, a query 1; each connection adds the nodes it may return (``first`` or
``last``, 100 when neither is given) times what one node costs, a node being 1 plus the connections
inside it.
"""

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLIncludeDirective,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLSkipDirective,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    Visitor,
    build_schema,
    execute_sync,
    get_named_type,
    is_list_type,
    parse,
    validate,
    visit,
)
from graphql.execution.values import (
    VariableValues,
    get_argument_values,
    get_directive_values,
    get_variable_values,
)

from deploy.sandbox.shiphero.moments import read_moment

__all__ = ["Library", "Plan", "Resolver", "RootField", "Run"]

KEEP = 1_000  # documents; a client has a few dozen, one that builds texts must not fill the memory
MUTATION_CREDITS = 10
QUERY_CREDITS = 1
PAGE = 100

Selected = dict[str, list[FieldNode]]
# a valid document with the variables its directives look at, or what is wrong with it
_Known = tuple[DocumentNode, tuple[str, ...]] | list[GraphQLError]


class Run:
    """One request under way: its variables, its id, the price of the field now resolved."""

    __slots__ = ("complexity", "request_id", "variables")

    def __init__(self, request_id: str, variables: VariableValues) -> None:
        self.request_id = request_id
        self.variables = variables
        self.complexity = 0


Resolver = Callable[[Any, dict[str, Any], Run], Any]
Project = Callable[[Any, Run], Any]
Price = Callable[[Run], int]


class RootField:
    """One field of the operation: what to call, with which arguments, at what price, shown how."""

    __slots__ = ("arguments", "key", "name", "price", "project")

    def __init__(
        self,
        *,
        key: str,
        name: str,
        arguments: Callable[[Run], dict[str, Any]],
        price: Price,
        project: Project,
    ) -> None:
        self.key = key
        self.name = name
        self.arguments = arguments
        self.price = price
        self.project = project


class Plan:
    """An operation, ready to run with any variables of its types."""

    def __init__(
        self,
        schema: GraphQLSchema,
        operation: OperationDefinitionNode,
        fields: list[RootField],
        introspection: DocumentNode | None,
    ) -> None:
        self.fields = fields
        self.introspection = introspection
        self._schema = schema
        self._definitions = operation.variable_definitions or ()

    def start(self, request_id: str, given: Mapping[str, Any]) -> Run | list[GraphQLError]:
        """Coerce the variables, or say everything that is wrong with them."""
        coerced = get_variable_values(self._schema, self._definitions, dict(given))
        return coerced if isinstance(coerced, list) else Run(request_id, coerced)


class Library:
    """Every document seen lately, compiled. Resolvers are by ``Type.field``."""

    def __init__(self, resolvers: Mapping[str, Resolver]) -> None:
        self.schema = _load_schema()
        self._resolvers = resolvers
        self._documents: dict[str, _Known] = {}
        self._plans: dict[tuple[object, ...], Plan] = {}

    def plan(
        self, text: str, operation_name: str | None, variables: Mapping[str, Any]
    ) -> Plan | list[GraphQLError]:
        """The plan of one operation of a document, or everything that is wrong with the document.

        ``@skip`` and ``@include`` are decided while compiling, so that each combination of the
        variables they look at is a plan of its own.
        """
        known = self._document(text)
        if isinstance(known, list):
            return known
        document, deciding = known
        key = (text, operation_name, *(variables.get(name) is True for name in deciding))
        plan = self._plans.get(key)
        if plan is None:
            operation = _operation(document, operation_name)
            if isinstance(operation, GraphQLError):
                return [operation]
            decided = {name: variables.get(name) is True for name in deciding}
            plan = _Compiler(self.schema, document, self._resolvers, decided).plan(operation)
            _trim(self._plans)
            self._plans[key] = plan
        return plan

    def introspect(self, document: DocumentNode, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Answer ``__schema`` and ``__type`` as every GraphQL server does."""
        result = execute_sync(self.schema, document, variable_values=dict(variables))
        return dict(result.formatted)

    def _document(self, text: str) -> _Known:
        known = self._documents.get(text)
        if known is None:
            try:
                document = parse(text)
                known = validate(self.schema, document) or (document, _deciding(document))
            except GraphQLError as unparsable:
                known = [unparsable]
            _trim(self._documents)
            self._documents[text] = known
        return known


class _Compiler:
    """Compiles one operation; ``decided`` holds the variables that directives look at."""

    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        resolvers: Mapping[str, Resolver],
        decided: Mapping[str, bool],
    ) -> None:
        self._schema = schema
        self._document = document
        self._resolvers = resolvers
        self._decided = VariableValues(sources={}, coerced=dict(decided))
        self._fragments = {
            node.name.value: node
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }

    def plan(self, operation: OperationDefinitionNode) -> Plan:
        mutating = operation.operation is OperationType.MUTATION
        root = self._schema.mutation_type if mutating else self._schema.query_type
        if root is None:
            raise TypeError("the schema has both root types")
        selected = self._select(operation.selection_set)
        names = {nodes[0].name.value for nodes in selected.values()}
        if names & {"__schema", "__type"}:
            return Plan(self._schema, operation, [], self._document)
        fields = [
            self._root_field(root, key, nodes, mutating=mutating) for key, nodes in selected.items()
        ]
        return Plan(self._schema, operation, fields, None)

    def _root_field(
        self, root: GraphQLObjectType, key: str, nodes: list[FieldNode], *, mutating: bool
    ) -> RootField:
        name = nodes[0].name.value
        if name == "__typename":
            return RootField(
                key=key,
                name=name,
                arguments=lambda _: {},
                price=lambda _: 0,
                project=lambda _source, _run: root.name,
            )
        sub = self._merge(nodes)
        kind = get_named_type(root.fields[name].type)
        if not isinstance(kind, GraphQLObjectType):
            raise TypeError("every root field of the schema is an object")
        inner = self._price(kind, sub)
        base = MUTATION_CREDITS if mutating else QUERY_CREDITS
        return RootField(
            key=key,
            name=name,
            arguments=self._arguments(root, nodes[0]),
            price=lambda run: base + inner(run),
            project=self._project(kind, sub),
        )

    def _select(self, selection_set: SelectionSetNode, into: Selected | None = None) -> Selected:
        """Fields by response key, fragments taken apart, left out where a directive says so."""
        selected: Selected = {} if into is None else into
        for node in selection_set.selections:
            if not self._wanted(node):
                continue
            match node:
                case FieldNode():
                    key = node.alias.value if node.alias else node.name.value
                    selected.setdefault(key, []).append(node)
                case InlineFragmentNode():
                    self._select(node.selection_set, selected)
                case FragmentSpreadNode():
                    self._select(self._fragments[node.name.value].selection_set, selected)
        return selected

    def _wanted(self, node: Any) -> bool:
        if not node.directives:
            return True
        skip = get_directive_values(GraphQLSkipDirective, node, self._decided)
        include = get_directive_values(GraphQLIncludeDirective, node, self._decided)
        return not (skip and skip["if"]) and (include is None or bool(include["if"]))

    def _merge(self, nodes: list[FieldNode]) -> Selected:
        merged: Selected = {}
        for node in nodes:
            if node.selection_set is not None:
                self._select(node.selection_set, merged)
        return merged

    def _arguments(
        self, parent: GraphQLObjectType, node: FieldNode
    ) -> Callable[[Run], dict[str, Any]]:
        definition = parent.fields[node.name.value]
        if not any(_looks_at_variables(argument) for argument in node.arguments or ()):
            constant = get_argument_values(definition, node)
            return lambda _: constant
        return lambda run: get_argument_values(definition, node, run.variables)

    def _project(self, kind: GraphQLObjectType, selected: Selected) -> Project:
        """A function from a record to what the caller selected of it; None stays None."""
        steps = [(key, self._step(kind, nodes)) for key, nodes in selected.items()]

        def project(source: Any, run: Run) -> Any:
            if source is None:
                return None
            return {key: step(source, run) for key, step in steps}

        return project

    def _step(self, kind: GraphQLObjectType, nodes: list[FieldNode]) -> Project:
        name = nodes[0].name.value
        if name == "__typename":
            return lambda _source, _run: kind.name
        read = self._reader(kind, nodes[0])
        named = get_named_type(kind.fields[name].type)
        if not isinstance(named, GraphQLObjectType):
            return read
        project = self._project(named, self._merge(nodes))
        if _holds_list(kind.fields[name].type):

            def project_each(source: Any, run: Run) -> Any:
                values = read(source, run)
                return None if values is None else [project(value, run) for value in values]

            return project_each
        return lambda source, run: project(read(source, run), run)

    def _reader(self, kind: GraphQLObjectType, node: FieldNode) -> Project:
        name = node.name.value
        resolve = self._resolvers.get(f"{kind.name}.{name}")
        if resolve is None:
            return lambda source, _run: source.get(name)
        arguments = self._arguments(kind, node)
        return lambda source, run: resolve(source, arguments(run), run)

    def _price(self, kind: GraphQLObjectType, selected: Selected) -> Price:
        parts: list[Price] = []
        for nodes in selected.values():
            if nodes[0].name.value == "__typename":
                continue
            definition = kind.fields[nodes[0].name.value]
            named = get_named_type(definition.type)
            if not isinstance(named, GraphQLObjectType):
                continue
            sub = self._merge(nodes)
            inner = self._price(named, sub)
            if named.name.endswith("Connection"):
                parts.append(_connection_price(self._arguments(kind, nodes[0]), inner))
            else:
                parts.append(inner)
        return lambda run: sum(part(run) for part in parts)


def _connection_price(arguments: Callable[[Run], dict[str, Any]], inner: Price) -> Price:
    def price(run: Run) -> int:
        given = arguments(run)
        nodes = given.get("first")
        if nodes is None:
            nodes = given.get("last")
        if nodes is None:
            nodes = PAGE
        return max(0, int(nodes)) * (1 + inner(run))

    return price


def _load_schema() -> GraphQLSchema:
    text = files("deploy.sandbox.shiphero").joinpath("schema.graphql").read_text("utf-8")
    schema = build_schema(text)
    moment = schema.type_map["ISODateTime"]
    if isinstance(moment, GraphQLScalarType):
        moment.coerce_input_value = read_moment
    return schema


def _operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode | GraphQLError:
    operations = [
        node for node in document.definitions if isinstance(node, OperationDefinitionNode)
    ]
    if name is None:
        if len(operations) == 1:
            return operations[0]
        return GraphQLError("Must provide operation name if query contains multiple operations.")
    for operation in operations:
        if operation.name is not None and operation.name.value == name:
            return operation
    return GraphQLError(f"Unknown operation named '{name}'.")


class _VariableFinder(Visitor):
    """Names of the variables below a node."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        self.names.add(node.name.value)


class _DirectiveFinder(Visitor):
    """Names of the variables that directives look at."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def enter_directive(self, node: Any, *_: object) -> None:
        finder = _VariableFinder()
        visit(node, finder)
        self.names |= finder.names


def _deciding(document: DocumentNode) -> tuple[str, ...]:
    finder = _DirectiveFinder()
    visit(document, finder)
    return tuple(sorted(finder.names))


def _looks_at_variables(node: Any) -> bool:
    finder = _VariableFinder()
    visit(node, finder)
    return bool(finder.names)


def _holds_list(kind: Any) -> bool:
    return is_list_type(getattr(kind, "of_type", None)) or is_list_type(kind)


def _trim(kept: dict[Any, Any]) -> None:
    """Forget the oldest tenth when full."""
    if len(kept) >= KEEP:
        for key in list(kept)[: KEEP // 10]:
            del kept[key]
