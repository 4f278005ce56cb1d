"""`GET /v1/orgs/{id}` as it is written with Django REST framework: token, user, role, ancestors, serializer.

It runs in its own interpreter, without the service's packages: `gunicorn django_reference.site:application`.
"""

import json
import os
from urllib.parse import parse_qs, urlsplit

import django
import jwt
from django.conf import settings

database = urlsplit(os.environ["XUEZU_DATABASE_URL"])
query = parse_qs(database.query)
settings.configure(
    SECRET_KEY="bench",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": database.path.lstrip("/"),
            "USER": database.username,
            "HOST": query["host"][0],
            "PORT": query["port"][0],
            "CONN_MAX_AGE": None,
        }
    },
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "UNAUTHENTICATED_USER": None,
    },
    INSTALLED_APPS=[],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)
django.setup()

from django.core.wsgi import get_wsgi_application
from django.db import connection, models
from django.urls import path
from rest_framework import authentication, exceptions, generics, permissions, serializers

KEYS = {key["kid"]: jwt.PyJWK(key) for key in json.loads(os.environ["BENCH_JWKS"])["keys"]}
ISSUER = os.environ["XUEZU_PUBLIC_URL"]


class User(models.Model):
    id = models.UUIDField(primary_key=True)
    status = models.TextField()
    verified_name = models.TextField(null=True)
    is_authenticated = True

    class Meta:
        app_label, db_table, managed = "site", "users", False


class Session(models.Model):
    id = models.UUIDField(primary_key=True)
    user = models.ForeignKey(User, models.CASCADE)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        app_label, db_table, managed = "site", "sessions", False


class Org(models.Model):
    id = models.UUIDField(primary_key=True)
    name = models.TextField()
    region_code = models.TextField()
    kind = models.TextField()
    status = models.TextField()
    version = models.IntegerField()
    created_at = models.DateTimeField()
    main_admin_id = models.UUIDField()

    class Meta:
        app_label, db_table, managed = "site", "orgs", False


class TokenAuthentication(authentication.BaseAuthentication):
    def authenticate(self, request):
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            return None
        try:
            key = KEYS[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(token, key, algorithms=["ES256"], audience=f"{ISSUER}/v1", issuer=ISSUER)
            session = Session.objects.select_related("user").get(id=claims["sid"], ended_at=None)
        except (jwt.InvalidTokenError, KeyError, Session.DoesNotExist) as error:
            raise exceptions.AuthenticationFailed from error
        return session.user, token

    def authenticate_header(self, request):
        return "Bearer"


ADMINISTERS = """
WITH RECURSIVE above (id) AS (
    SELECT %s::uuid
    UNION
    SELECT c.superior_id FROM certifications c JOIN above a ON c.subordinate_id = a.id WHERE c.state = 'live'
)
SELECT EXISTS (SELECT FROM org_admins JOIN above ON above.id = org_admins.org_id WHERE user_id = %s)
    OR EXISTS (SELECT FROM members WHERE org_id = %s AND user_id = %s AND removed_at IS NULL)
"""


class SeesOrg(permissions.BasePermission):
    def has_object_permission(self, request, view, obj):
        with connection.cursor() as cursor:
            cursor.execute(ADMINISTERS, [obj.id, request.user.id, obj.id, request.user.id])
            return cursor.fetchone()[0]


class OrgSerializer(serializers.ModelSerializer):
    class Meta:
        model = Org
        fields = ("id", "name", "region_code", "kind", "status", "version", "created_at", "main_admin_id")


class OrgView(generics.RetrieveAPIView):
    queryset = Org.objects.all()
    serializer_class = OrgSerializer
    authentication_classes = (TokenAuthentication,)
    permission_classes = (permissions.IsAuthenticated, SeesOrg)


urlpatterns = [path("v1/orgs/<uuid:pk>", OrgView.as_view())]
application = get_wsgi_application()
